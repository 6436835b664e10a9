"""Runs a function on N workers with Ray Train, restarts them after failures, and brings errors back in one piece."""

from __future__ import annotations

import shutil
import signal
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from saccade.pipelines.progress import Progress
from saccade.plugins.ray.quiet import no_ray_messages, worker_environment
from saccade.plugins.ray.session import Device, ray_session, waiting_for

# A collective that waits longer has lost its peers. Long, because rank 0 may save or count alone meanwhile.
COLLECTIVE_TIMEOUT_S = 1800


def launch(
    function: Callable[[dict[str, Any]], None],
    arguments: dict[str, Any],
    *,
    workers: int,
    cpus_per_worker: int,
    device: Device,
    storage: Path,
    max_failures: int,
) -> None:
    """Call ``function(arguments)`` on every worker, inside a torch process group, and wait for all to return.

    If a worker raises or dies, all are started anew (up to ``max_failures`` times) and the function is called again:
    it has to resume from its own checkpoints. Workers write their output to ``storage/logs/rank-R.log``.

    Args:
        function: importable where the workers run.
        arguments: plain data.
        workers: how many; the process group's world size.
        cpus_per_worker: CPUs reserved for each, and its compute threads.
        device: ``cuda`` gives each a GPU and nccl, ``cpu`` gloo; ``auto`` goes by whether there is a GPU for each.
        storage: the run's folder, seen by all nodes.
        max_failures: restarts before giving up.

    Raises:
        UserError: raised by the function on any worker (never restarted), or the workers ask for more than there is.
        RunFailed: the restarts are used up.
        KeyboardInterrupt: SIGINT or SIGTERM came; the workers have been stopped.
    """
    storage = storage.absolute()
    with _restored_signals(), ray_session(workers, cpus_per_worker, device) as use_gpu, no_ray_messages():
        _interrupt_on_signals()
        if wait := waiting_for(workers, cpus_per_worker):
            Progress(storage).message(wait, "WARNING")
        _fit(function, arguments, workers, cpus_per_worker, use_gpu, storage, max_failures)


def _fit(
    function: Callable[[dict[str, Any]], None],
    arguments: dict[str, Any],
    workers: int,
    cpus_per_worker: int,
    use_gpu: bool,
    storage: Path,
    max_failures: int,
) -> None:
    from ray import cloudpickle
    from ray.train import FailureConfig, LoggingConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig, TorchTrainer

    from saccade.plugins.ray.failures import Restarts, translate
    from saccade.plugins.ray.worker import Work, run

    class Trainer(TorchTrainer):  # type: ignore[misc]  # ray has no types here
        """Leaves SIGINT to this module: Ray's own handler would end the driver with exit code 0."""

        def _register_sigint_handler(self, controller: object) -> None:
            pass

    work = Work(cloudpickle.dumps(function), arguments, Path.cwd(), storage / "logs", cpus_per_worker)
    # A name that was used before would make Ray resume from its own snapshots, which can be damaged or stale.
    name = uuid.uuid4().hex[:12]
    trainer = Trainer(
        run,
        train_loop_config={"work": work},
        torch_config=TorchConfig(backend="nccl" if use_gpu else "gloo", timeout_s=COLLECTIVE_TIMEOUT_S),
        scaling_config=ScalingConfig(
            num_workers=workers,
            use_gpu=use_gpu,
            resources_per_worker={"CPU": cpus_per_worker} | ({"GPU": 1} if use_gpu else {}),
        ),
        run_config=RunConfig(
            name=name,
            storage_path=str(storage / "ray"),
            failure_config=FailureConfig(max_failures=max_failures),
            callbacks=[Restarts(storage, max_failures)],
            # Ray Train would log each error a second time; its own log files have it at any level.
            logging_config=LoggingConfig(log_level="CRITICAL"),
            worker_runtime_env={"env_vars": worker_environment(cpus_per_worker, use_gpu)},
        ),
    )
    try:
        trainer.fit()
    except Exception as error:
        raise translate(error, storage / "logs") from None
    finally:
        shutil.rmtree(storage / "ray" / name, ignore_errors=True)


@contextmanager
def _restored_signals() -> Iterator[None]:
    """Put the handlers of SIGINT and SIGTERM back at the end: both this module and ray.init set their own."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt_on_signals() -> None:
    """Let SIGINT and SIGTERM raise KeyboardInterrupt once; while stopping, more of them change nothing."""
    if threading.current_thread() is not threading.main_thread():
        return

    def interrupt(number: int, frame: object) -> None:
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupt)
