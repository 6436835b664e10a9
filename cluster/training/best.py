"""Which of a run's checkpoints stands for it."""

from __future__ import annotations

from pathlib import Path

from saccade.pipelines.checkpoint.reader import CheckpointReader
from saccade.pipelines.checkpoint.retention import newest_good, step_name
from saccade.pipelines.errors import UserError
from saccade.pipelines.training.state import TrainingState


def best_checkpoint(run: Path) -> Path:
    """The checkpoint of the best evaluation so far, or the newest where none was evaluated.

    Raises:
        UserError: there is no checkpoint, or the one that counts is damaged.
    """
    folder = run / "checkpoints"
    newest = newest_good(folder, lambda text: None)
    if newest is None:
        raise UserError(f"run {run} has no checkpoint yet: train it first")
    state = TrainingState.from_json(CheckpointReader(newest).manifest.training)
    saved = state.best_saved(folder)  # none with checkpoint.keep_best=0
    if not saved:
        return newest
    best = folder / step_name(saved[0])
    CheckpointReader(best).verify()
    return best
