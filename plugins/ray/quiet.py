"""Settings for Ray's processes: prompt failure detection, and no warnings that are known to be harmless."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_DRIVER = {
    # The controller looks at its workers this often; the default of 2 s makes every start, end and failure slower.
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",
    # Where an elastic run has lost a node Ray waits this long for one in its place, then goes on with those that are
    # left. Asking for workers of a fixed number is repeated after as long, which costs nothing.
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "20",
    # `Group` looks for drained nodes itself: Ray's watcher, an actor that starts with each group, was seen to miss a
    # node that was drained a second after the start.
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
    # After a failure, peers stuck in a collective can't leave their process group: don't wait 30 s for them.
    "TORCH_PROCESS_GROUP_SHUTDOWN_TIMEOUT_S": "3",
    # Workers keep the directory that Ray or this package gives them.
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    # print() on a worker is print(), not a log record.
    "RAY_TRAIN_ENABLE_PRINT_PATCH": "0",
    # Take the announced behaviour now, instead of a FutureWarning a process.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DEDUP_LOGS": "0",
}

_OWN_CLUSTER = {
    # Idle workers made in advance compete with the start for this machine's cores.
    "RAY_prestart_worker_first_driver": "0",
}


def set_driver_environment(own_cluster: bool) -> None:
    """Set this process's environment before Ray starts; what the user has set stays."""
    for name, value in (_DRIVER | (_OWN_CLUSTER if own_cluster else {})).items():
        os.environ.setdefault(name, value)
    if own_cluster:
        # "Token authentication is enabled", at every start of a Ray that only this process uses.
        logging.getLogger("ray._private.authentication.authentication_token_setup").setLevel(logging.ERROR)


def cluster_environment() -> dict[str, str]:
    """What Ray Train's controller needs of this on a cluster; it takes over the RAY_TRAIN variables by itself."""
    name = "TORCH_PROCESS_GROUP_SHUTDOWN_TIMEOUT_S"
    return {name: os.environ.get(name, _DRIVER[name])}


@contextmanager
def no_ray_messages() -> Iterator[None]:
    """Keep what Ray's daemons say of dead workers out of the driver's stdout.

    Even log_to_driver=False lets it through; `saccade.plugins.ray.failures` says it in one line instead.
    """
    from ray._private import worker

    before = getattr(worker, "_worker_logs_enabled", True)
    setattr(worker, "_worker_logs_enabled", False)  # noqa: B010  # what ray's debugger does; there is no public way
    try:
        yield
    finally:
        setattr(worker, "_worker_logs_enabled", before)  # noqa: B010


def worker_environment(cpus: int, use_gpu: bool) -> dict[str, str]:
    """The environment variables that every worker starts with."""
    environment = {"OMP_NUM_THREADS": str(cpus), "TOKENIZERS_PARALLELISM": "false"}
    if not use_gpu:
        # DeepSpeed would otherwise go by the installed torch, and Ray no longer hides the GPUs it has not assigned.
        environment |= {"DS_ACCELERATOR": "cpu", "CUDA_VISIBLE_DEVICES": ""}
    return environment


def silence() -> None:
    """Drop the harmless warnings of DeepSpeed's and TorchRec's imports and DeepSpeed's INFO log."""
    for category in (FutureWarning, DeprecationWarning):
        warnings.filterwarnings("ignore", category=category)
    os.environ.setdefault("DS_LOG_LEVEL", "warning")
    logging.getLogger("DeepSpeed").setLevel(logging.WARNING)
