"""The argument PATH of commands that work on checkpoints."""

from __future__ import annotations

from pathlib import Path

from saccade.pipelines.errors import UserError


def is_counted(path: Path) -> bool:
    """Whether it is the folder of a run that has counted a model, which has no checkpoints."""
    from saccade.cluster.training.counting import COUNTED

    return (path / "artifacts" / COUNTED).is_file()


def all_checkpoints(path: Path) -> list[Path]:
    """The checkpoint at ``path``, or all of those of the run at ``path``, oldest first.

    Raises:
        UserError: there is none.
    """
    from saccade.pipelines.checkpoint.manifest import NAME
    from saccade.pipelines.checkpoint.retention import STEP, checkpoints

    if path.is_dir() and (STEP.fullmatch(path.name) or (path / NAME).exists()):
        return [path]
    found = checkpoints(path / "checkpoints") or checkpoints(path)
    if found:
        return found
    if is_counted(path):
        raise UserError(
            f"{path} has no checkpoint: its model was counted, and is in its artifacts. `saccade evaluate`, `predict`, "
            "`recommend` and `checkpoint export` take the run's folder"
        )
    what = "has no checkpoint" if path.is_dir() else "is a file" if path.exists() else "doesn't exist"
    raise UserError(f"{path} {what}: give a run's folder, or the folder step-… of one of its checkpoints")


def one_checkpoint(path: Path) -> Path:
    """The checkpoint at ``path``, or the best one of the run at ``path``, the newest where none was evaluated.

    Raises:
        UserError: there is none, or none has a manifest that can be read.
    """
    from saccade.pipelines.checkpoint.manifest import DamagedCheckpoint, Manifest
    from saccade.pipelines.checkpoint.retention import step_name

    found = all_checkpoints(path)
    if found == [path]:
        return path
    for newest in reversed(found):
        try:
            evaluated = Manifest.read(newest).training.get("best", [])
        except DamagedCheckpoint:
            continue
        best = (newest.parent / step_name(step) for _, step in evaluated)
        return next((checkpoint for checkpoint in best if checkpoint.exists()), newest)
    raise UserError(f"no checkpoint of {path} has a manifest that can be read: see `saccade checkpoint verify {path}`")
