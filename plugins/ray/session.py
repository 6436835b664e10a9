"""This process's connection to Ray: a cluster that is there, or one of its own for as long as it lasts."""

from __future__ import annotations

import logging
import math
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from saccade.pipelines.errors import UserError
from saccade.plugins.ray.errors import describe
from saccade.plugins.ray.quiet import cluster_environment, set_driver_environment

Device = Literal["auto", "cpu", "cuda"]
Workers = int | tuple[int, int]
"""How many, or the least and the most."""

# Nothing but small messages goes through Ray's object store here; it must fit a container's small /dev/shm.
OBJECT_STORE_BYTES = 128 * 2**20


@dataclass(frozen=True)
class Session:
    """A connection to Ray.

    Attributes:
        alone: whether this Ray was started for this connection, and ends with it.
        use_gpu: whether every worker gets a GPU.
    """

    alone: bool
    use_gpu: bool


@contextmanager
def ray_session(workers: Workers, cpus_per_worker: int, device: Device) -> Iterator[Session]:
    """Ray for the length of the block: the caller's, the one at RAY_ADDRESS (also set inside a Ray job), or a new one.

    What was started or joined here is left at the end; a new one then stops with all its processes.

    Yields:
        The connection. Workers get GPUs where ``cuda`` asks for them, and with ``auto`` where the cluster has one for
        each of the least number of workers.

    Raises:
        UserError: the workers ask for more than there is, or no Ray answers at RAY_ADDRESS.
    """
    address = os.environ.get("RAY_ADDRESS", "")
    own = address in ("", "local")
    set_driver_environment(own)
    import ray

    where = "this machine has" if own else "the Ray cluster has"
    joined = ray.is_initialized()
    stop = not joined
    try:
        if not joined and own:
            check(workers, cpus_per_worker, {"CPU": float(cpus_here())}, use_gpu=False, where=where)
            _start()
        elif not joined:
            _join(address)
        there = _resources()
        use_gpu = device == "cuda" or (device == "auto" and there.get("GPU", 0.0) >= least(workers))
        check(workers, cpus_per_worker, there, use_gpu, where)
        yield Session(alone=own and not joined, use_gpu=use_gpu)
    except KeyboardInterrupt:
        stop = True  # the only way to stop the workers of a Ray that was there before
        raise
    finally:
        if stop:
            ray.shutdown()


def least(workers: Workers) -> int:
    """The smallest number of workers that will do."""
    return workers if isinstance(workers, int) else workers[0]


def check(workers: Workers, cpus_per_worker: int, there: dict[str, float], use_gpu: bool, where: str) -> None:
    """Compare what the workers, the least number of them, need with what there is.

    Raises:
        UserError: names the job's keys, what they ask for and what is there.
    """
    needed, cpus = least(workers) * cpus_per_worker, there.get("CPU", 0.0)
    shown = f"run.workers={workers if isinstance(workers, int) else list(workers)}"
    needs = "needs" if isinstance(workers, int) else "needs at least"
    if needed > cpus:
        raise UserError(
            f"{shown} with run.cpus_per_worker={cpus_per_worker} {needs} {needed} CPUs, "
            f"but {where} {cpus:g}: lower run.workers or run.cpus_per_worker, or train on a larger cluster"
        )
    if use_gpu and least(workers) > there.get("GPU", 0.0):
        raise UserError(
            f"{shown} on engine.device=cuda {needs} {least(workers)} GPUs, "
            f"but {where} {there.get('GPU', 0.0):g}: lower run.workers or set engine.device=cpu"
        )


def waiting_for(workers: Workers, cpus_per_worker: int) -> str | None:
    """What the workers have to wait for on a busy cluster, in one line; None if they can start now."""
    import ray

    needed, free = least(workers) * cpus_per_worker, ray.available_resources().get("CPU", 0.0)
    return f"waiting for {needed} CPUs: {free:g} of Ray's are free now" if free < needed else None


def cpus_here() -> int:
    """The CPUs that this process may use: by affinity and by its container's quota, at least 1."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        if quota != "max":
            cpus = min(cpus, math.ceil(int(quota) / int(period)))
    except (OSError, ValueError):  # no cgroup v2
        pass
    return max(1, cpus)


def _start() -> None:
    import ray

    with _interrupt_afterwards(), _terminate_is_interrupt():
        ray.init(
            address="local",
            num_cpus=cpus_here(),
            include_dashboard=False,
            log_to_driver=False,
            object_store_memory=OBJECT_STORE_BYTES,
            logging_level=logging.WARNING,
        )


def _join(address: str) -> None:
    import ray

    if "://" in address:
        raise UserError(
            f"RAY_ADDRESS={address} is not a cluster's own address (host:port): "
            "hand the job over with `ray job submit`, or unset RAY_ADDRESS to train on this machine"
        )
    try:
        # The cluster's processes don't have this one's environment.
        environment = {"env_vars": cluster_environment()}
        with _terminate_is_interrupt():
            ray.init(address=address, log_to_driver=False, logging_level=logging.WARNING, runtime_env=environment)
    except Exception as error:
        raise UserError(
            f"cannot join Ray at RAY_ADDRESS={address} ({describe(error)}): "
            "start Ray there, or unset RAY_ADDRESS to train on this machine"
        ) from error


@contextmanager
def _interrupt_afterwards() -> Iterator[None]:
    """Hold a first SIGINT back until the block is done: what Ray is starting just now would outlive it for a minute."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    held: list[int] = []

    def hold(number: int, frame: object) -> None:
        if held:
            raise KeyboardInterrupt
        held.append(number)

    before = signal.signal(signal.SIGINT, hold)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if held:
        raise KeyboardInterrupt


@contextmanager
def _terminate_is_interrupt() -> Iterator[None]:
    """While it starts, Ray makes SIGTERM an exit with code 15; here it is to be the same as SIGINT."""
    try:
        yield
    except SystemExit as error:
        raise KeyboardInterrupt from error


def _resources() -> dict[str, float]:
    """What the cluster has; with an autoscaler, what it may grow to."""
    import ray
    from ray._private.state import state

    there: dict[str, float] = dict(ray.cluster_resources())
    largest: dict[str, int] = state.get_max_resources_from_cluster_config() or {}
    return {name: max(there.get(name, 0.0), float(largest.get(name, 0))) for name in {*there, *largest}}
