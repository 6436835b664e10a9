"""Runs a function where the job says: in this process, or on Ray workers."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from saccade.cluster.job import Job
from saccade.pipelines.errors import UserError
from saccade.pipelines.records.progress import Progress
from saccade.pipelines.training.stop import Stop, Stopped
from saccade.plugins.ray.interrupt import ASKED, interrupt_on_signals, restored_signals, stop_file


def run_on_workers(
    function: Callable[[dict[str, Any]], None],
    job: Job,
    folder: Path,
    arguments: dict[str, Any],
    *,
    trains: bool = False,
) -> None:
    """Call ``function(arguments)`` on every worker of the job and wait.

    Args:
        function: importable where the workers run.
        job: its engine, workers and failures to survive.
        folder: for the workers' logs, seen by all nodes.
        arguments: plain data.
        trains: whether the function saves when it is asked to stop.

    Raises:
        KeyboardInterrupt: the run was stopped.
    """
    if job.engine.name == "reference":
        _run_here(function, folder, arguments, trains)
        return
    from saccade.plugins.ray.launch import launch

    launch(
        function,
        arguments,
        workers=job.run.workers,
        cpus_per_worker=job.run.cpus_per_worker,
        device=job.engine.device,
        storage=folder,
        max_failures=job.run.max_failures,
        stops=trains,
        announce=partial(workers_line, job.train.micro_batches) if trains else None,
    )


def _run_here(
    function: Callable[[dict[str, Any]], None], folder: Path, arguments: dict[str, Any], trains: bool
) -> None:
    if not trains:
        function(arguments)
        return

    def ask() -> bool:
        Progress(folder).message(ASKED)
        Stop.request()
        return True

    Stop.clear()
    try:
        with restored_signals(), stop_file(folder):
            interrupt_on_signals(ask)
            function(arguments)
    except Stopped:
        raise KeyboardInterrupt from None
    finally:
        Stop.clear()


def workers_line(micro_batches: int, workers: int) -> str:
    """What the log says when so many workers start: an uneven number of them leaves some idle at the end of a step."""
    rounds = -(-micro_batches // workers)
    empty = rounds * workers - micro_batches
    line = f"{workers} worker{'s' if workers > 1 else ''}"
    if not empty:
        return f"{line} start{'' if workers > 1 else 's'}"
    return f"{line} for {micro_batches} micro-batches: {empty} of {rounds * workers} places a step stay empty"


def check_workers(job: Job) -> None:
    """Find out before anything starts whether the workers' packages and, unless a cluster will tell, CPUs are there.

    Raises:
        UserError: packages are missing, or the workers ask for more than there is.
    """
    if job.engine.name == "reference":
        return
    if missing := [name for name in ("ray", "deepspeed", "torchrec") if find_spec(name) is None]:
        raise UserError(
            f"engine.name=hybrid needs {', '.join(missing)}, not installed here: pip install 'saccade[cpu]' (the "
            "README says how), or train in one process with engine.name=reference"
        )
    if os.environ.get("RAY_ADDRESS", "local") not in ("", "local"):
        return
    from saccade.plugins.ray.session import check, cpus_here

    there = {"CPU": float(cpus_here())}
    check(job.run.workers, job.run.cpus_per_worker, there, use_gpu=False, where="this machine has")
