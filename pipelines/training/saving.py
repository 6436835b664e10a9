"""When checkpoints are written beside the training, and what happens when one can't be."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, TypeVar

from saccade.models.table import Table
from saccade.pipelines.checkpoint.retention import newest_good, prune
from saccade.pipelines.checkpoint.saver import Saver
from saccade.pipelines.collective import Collective
from saccade.pipelines.engines.engine import EngineState
from saccade.pipelines.errors import UserError
from saccade.pipelines.records.progress import Progress
from saccade.pipelines.training.state import TrainingState

SavePolicy = Literal["stop", "continue"]
T = TypeVar("T")


class Saving:
    """A training's checkpoints: begun at a step, written while training goes on, sealed once all ranks have written.

    All methods but ``due``, ``written`` and ``close`` are collectives.

    Args:
        folder: the run's ``checkpoints``.
        every: seconds from one save to the next; 0 for one at each step, waited for.
        keep_last, keep_best: how many checkpoints stay.
        on_error: whether a save that fails ends the training, or is a warning; the next one is tried all the same.
        job: the resolved job, kept in each checkpoint.
        artifacts: the folder of what was fitted, kept likewise; None for nothing.
        tables: the model's.
        collective: the ranks.
        progress: gets the warnings.
    """

    def __init__(
        self,
        folder: Path,
        *,
        every: float,
        keep_last: int,
        keep_best: int,
        on_error: SavePolicy,
        job: Mapping[str, Any],
        artifacts: Path | None,
        tables: Sequence[Table],
        collective: Collective,
        progress: Progress,
    ) -> None:
        self.folder, self.every, self.keep_last, self.keep_best = folder, every, keep_last, keep_best
        self.on_error, self.collective, self.progress = on_error, collective, progress
        self.saver = Saver(folder, job=job, tables=tables, collective=collective, artifacts=artifacts)
        self.began_at = time.monotonic()
        self.state = TrainingState()  # what was saved last, or is being saved
        self.failure: UserError | None = None  # of the latest save

    def due(self) -> bool:
        """Whether rank 0's clock says to save; storage too slow for the interval is given the time it takes."""
        waited = time.monotonic() - self.began_at >= self.every
        return self.collective.rank == 0 and waited and not self.saver.in_flight

    def written(self) -> bool:
        """Whether this rank has written its share of a save in flight."""
        return self.saver.in_flight and self.saver.written()

    def begin(self, engine: EngineState, training: TrainingState) -> None:
        """Save a state, once the save in flight is sealed.

        Args:
            engine: this rank's share.
            training: the loop's; its positions are those of this rank's lanes.

        Raises:
            UserError: it, or the one before, failed and failures end the training.
        """
        self.seal()
        self.began_at = time.monotonic()
        positions = {k: p for theirs in self.collective.gather_objects(training.positions) for k, p in theirs.items()}
        self.state = replace(training, positions=positions)
        self._try(lambda: self.saver.begin(engine, step=training.step, training=self.state.to_json()))
        if self.every == 0:
            self.seal()

    def seal(self) -> None:
        """Wait for the save in flight, if there is one; then remove the checkpoints that need not be kept.

        Raises:
            UserError: it failed, and failures end the training.
        """
        if self.saver.in_flight and self._try(self.saver.seal):
            self.failure = None
            if self.collective.rank == 0:
                best = self.state.best_saved(self.folder)[: self.keep_best]
                prune(self.folder, self.keep_last, best, saved=self.state.step)

    def finish(self) -> None:
        """Wait for the save in flight.

        Raises:
            UserError: the latest save failed, whatever is done about failures.
        """
        self.seal()
        if self.failure:
            raise self.failure

    def close(self) -> None:
        """Let this rank's writing end, after a failure as well."""
        self.saver.close()

    def _try(self, action: Callable[[], object]) -> bool:
        try:
            action()
        except UserError as error:
            self.failure = error
            if self.on_error == "stop":
                raise
            self.progress.message(f"{error}; training goes on", "WARNING")
            return False
        return True


def find_newest(folder: Path, collective: Collective, progress: Progress) -> Path | None:
    """The newest good checkpoint in a folder, for all ranks; a collective.

    Raises:
        UserError: there are some, but all are damaged.
    """
    return ask_first(collective, lambda: newest_good(folder, lambda text: progress.message(text, "WARNING")))


def ask_first(collective: Collective, question: Callable[[], T]) -> T:
    """What rank 0 finds, for all ranks; a collective.

    Raises:
        UserError: raised by rank 0.
    """
    found, mistake = None, ""
    if collective.rank == 0:
        try:
            found = question()
        except UserError as error:
            mistake = str(error)
    answer: tuple[T, str] = collective.broadcast_object((found, mistake))
    if answer[1]:
        raise UserError(answer[1])
    return answer[0]
