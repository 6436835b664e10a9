"""Runs a function where the job says: in this process, or on Ray workers."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from saccade.cluster.job import Job


def run_on_workers(
    function: Callable[[dict[str, Any]], None], job: Job, folder: Path, arguments: dict[str, Any]
) -> None:
    """Call ``function(arguments)`` on every worker of the job and wait.

    Args:
        function: importable where the workers run.
        job: its engine, workers and failures to survive.
        folder: for the workers' logs, seen by all nodes.
        arguments: plain data.
    """
    if job.engine.name == "reference":
        function(arguments)
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
    )


def check_workers(job: Job) -> None:
    """Find out before anything starts whether this machine has the CPUs, unless a cluster will tell.

    Raises:
        UserError: the workers ask for more than there is.
    """
    if job.engine.name == "reference" or os.environ.get("RAY_ADDRESS", "local") not in ("", "local"):
        return
    from saccade.plugins.ray.session import check, cpus_here

    there = {"CPU": float(cpus_here())}
    check(job.run.workers, job.run.cpus_per_worker, there, use_gpu=False, where="this machine has")
