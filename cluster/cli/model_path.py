"""The argument RUN of commands that use a trained model."""

from __future__ import annotations

from pathlib import Path

from saccade.cluster.cli.run_folder import existing_run


def trained_model(path: Path) -> Path:
    """``path`` where a checkpoint or an export is there, which stand for themselves, or the run's folder, absolute.

    Raises:
        UserError: it is none of them.
    """
    if path.name == "model.safetensors" and path.is_file():
        path = path.parent
    if any((path / name).is_file() for name in ("manifest.json", "model.json")):
        return path.absolute()
    return existing_run(path)
