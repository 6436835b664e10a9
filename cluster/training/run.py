"""Runs a function where the job says: in this process, or on Ray workers."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from saccade.cluster.job import Job
from saccade.pipelines.errors import UserError


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
