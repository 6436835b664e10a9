"""Where a start of a run begins: at its newest checkpoint, with another run's weights, or anew."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from saccade.cluster.training.best import best_checkpoint
from saccade.pipelines.checkpoint import manifest
from saccade.pipelines.checkpoint.reader import CheckpointReader
from saccade.pipelines.checkpoint.retention import clean
from saccade.pipelines.engines.engine import Engine
from saccade.pipelines.errors import UserError
from saccade.pipelines.records.progress import Progress
from saccade.pipelines.training.saving import ask_first, find_newest
from saccade.pipelines.training.state import TrainingState


def begin(
    engine: Engine, checkpoints: Path, start_from: str | None, grow: Collection[str], progress: Progress
) -> TrainingState:
    """Load what the run begins with. A collective.

    Args:
        engine: gets weights and optimizer state.
        checkpoints: the run's own; the newest good one comes first.
        start_from: for a run without any: another run's folder, or a checkpoint.
        grow: tables that may have fewer rows there.
        progress: is told.

    Returns:
        Where the loop goes on.

    Raises:
        UserError: checkpoints are damaged or missing, or don't fit the job.
    """
    collective = engine.collective
    if collective.rank == 0:
        clean(checkpoints)
    if own := find_newest(checkpoints, collective, progress):
        checkpoint = CheckpointReader(own)
        engine.load(checkpoint, grow)
        progress.message(f"resumed from {own.name}")
        return TrainingState.from_json(checkpoint.manifest.training)
    if start_from is not None:
        other = ask_first(collective, lambda: _good_checkpoint(Path(start_from)))
        engine.load(CheckpointReader(other), grow)
        progress.message(f"begins with the weights and optimizer state of {other}")
    return TrainingState()


def _good_checkpoint(path: Path) -> Path:
    """The checkpoint at ``path``, or the best one of the run there, once it is found to be whole."""
    try:
        if not (path / manifest.NAME).exists():
            return best_checkpoint(path)
        CheckpointReader(path).verify()
        return path
    except UserError as error:
        raise UserError(f"run.start_from={path}: {error}") from None
