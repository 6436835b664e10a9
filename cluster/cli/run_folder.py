"""The argument RUN of commands that work on a trained run."""

from __future__ import annotations

from pathlib import Path

from saccade.pipelines.errors import UserError


def existing_run(path: Path) -> Path:
    """``path``, absolute, if a run is there.

    Raises:
        UserError: it isn't a folder with a job.yaml, with the runs that are near it.
    """
    if (path / "job.yaml").is_file():
        return path.absolute()
    what = "isn't a run (it has no job.yaml)" if path.is_dir() else "is a file, not a run's folder"
    what = what if path.exists() else "doesn't exist"
    around = path if path.is_dir() else path.parent
    runs = sorted(file.parent for file in around.glob("*/job.yaml"))[:5]
    hint = f"; runs there: {', '.join(map(str, runs))}" if runs else "; `saccade train` makes runs"
    raise UserError(f"run {path} {what}{hint}")
