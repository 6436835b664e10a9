"""The plug-ins that a job needs, found where it is used."""

from __future__ import annotations

from pathlib import Path

from saccade.cluster.job import Job
from saccade.pipelines.records.record import read_json
from saccade.plugins.discovery import load_plugins


def use_plugins(job: Job, run: Path | None = None) -> None:
    """Import the installed plug-ins and the job's modules: those of this directory, else of the one it was trained in.

    Args:
        job: with ``plugins``.
        run: its run's folder, where there is one already.

    Raises:
        UserError: one of them can't be imported.
    """
    directories = [Path.cwd()]
    if job.plugins and run is not None and (run / "run.json").is_file():
        trained = read_json(run / "run.json").get("directory")
        directories += [Path(trained)] if trained and Path(trained) != Path.cwd() else []
    load_plugins(job.plugins, directories)
