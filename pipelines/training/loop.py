"""The training loop: the same for every task, engine and number of workers."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch

from saccade.pipelines.checkpoint.reader import CheckpointReader
from saccade.pipelines.engines.engine import Engine, StepResult
from saccade.pipelines.errors import UserError
from saccade.pipelines.order.reader import Reader, StepInput
from saccade.pipelines.records.progress import Progress
from saccade.pipelines.records.tracker import Tracker
from saccade.pipelines.task import Task
from saccade.pipelines.training.not_finite import NotFinite, NotFinitePolicy
from saccade.pipelines.training.reporting import Reporting
from saccade.pipelines.training.saving import SavePolicy, Saving, find_newest
from saccade.pipelines.training.schedule import Schedule
from saccade.pipelines.training.state import TrainingState
from saccade.pipelines.training.stop import Stop, Stopped


@dataclass(frozen=True)
class Course:
    """How long to train, and what to do along the way.

    Attributes:
        epochs: passes over the rows.
        learning_rate: the network's, before the schedule's factor; for the record.
        schedule: of the learning rate.
        log_every: steps from one logged step to the next.
        evaluate_every: epochs from one evaluation to the next.
        select: the metric whose highest value marks the best checkpoint.
        patience: evaluations without gain after which training stops; None for never.
        save_every: seconds from one checkpoint to the next, besides one at each evaluation; 0 for one at each step.
        keep_last, keep_best: how many checkpoints stay.
        on_not_finite: what becomes of a step whose loss or gradient isn't finite.
        on_save_error: whether a checkpoint that can't be written ends the training.
    """

    epochs: int
    learning_rate: float
    schedule: Schedule
    log_every: int
    evaluate_every: int
    select: str
    patience: int | None
    save_every: float
    keep_last: int
    keep_best: int
    on_not_finite: NotFinitePolicy = "stop"
    on_save_error: SavePolicy = "stop"


class Training:
    """One run's training on one rank. All of its methods are collectives.

    Args:
        engine: takes the steps.
        task: whose tables are saved.
        reader: of the training rows.
        rows: in the training split.
        course: what to do when.
        state: where to begin; changed in place.
        validate: measures the validation split; None where there is none.
        folder: the run's ``checkpoints``.
        job: the resolved job, kept in each checkpoint.
        artifacts: the folder of what was fitted, kept likewise; None for nothing.
        trackers: get the numbers; empty on ranks other than 0.
        progress: shown to people; silent on ranks other than 0.
        where: row number -> ``FILE row N``, for messages.
        grow: tables that may have fewer rows in the run's checkpoints.
        stop: whether to stop early.
    """

    def __init__(
        self,
        *,
        engine: Engine,
        task: Task,
        reader: Reader,
        rows: int,
        course: Course,
        state: TrainingState,
        validate: Callable[[], dict[str, float]] | None,
        folder: Path,
        job: Mapping[str, Any],
        artifacts: Path | None = None,
        trackers: Sequence[Tracker],
        progress: Progress,
        where: Callable[[int], str] = " row {}".format,
        grow: Collection[str] = (),
        stop: Stop | None = None,
    ) -> None:
        self.engine, self.reader, self.course, self.state, self.validate = engine, reader, course, state, validate
        self.progress, self.grow, self.stop = progress, grow, stop or Stop()
        self.collective = engine.collective
        self.reporting = Reporting(state, rows=rows, epochs=course.epochs, trackers=trackers, progress=progress)
        self.not_finite = NotFinite(
            course.on_not_finite, where, self.collective, self._roll_back, self.reporting.warning
        )
        self.saving = Saving(
            folder,
            every=course.save_every,
            keep_last=course.keep_last,
            keep_best=course.keep_best,
            on_error=course.on_save_error,
            job=job,
            artifacts=artifacts,
            tables=task.tables,
            collective=self.collective,
            progress=progress,
        )

    def run(self) -> None:
        """Train to the end of the course, from wherever the state stands, and see it saved.

        Raises:
            UserError: a step wasn't finite or a checkpoint couldn't be written, and that is to end the training.
            Stopped: there was a request to stop; a checkpoint of this very moment has been written.
        """
        state, course = self.state, self.course
        try:
            while state.epoch < course.epochs and not state.finished:
                self._epoch()
                epoch = state.epoch + 1
                evaluate = epoch == course.epochs or epoch % course.evaluate_every == 0
                if self.validate and evaluate:
                    self._evaluate(self.validate)
                # Only now: stopped before or during the evaluation, the resumed run makes up for it.
                state.epoch, state.rows, state.positions = epoch, 0, {}
                state.finished = self._out_of_patience()
                if evaluate or state.finished:
                    self.save()
            self.saving.finish()
        finally:
            self.saving.close()

    def _epoch(self) -> None:
        state = self.state
        with closing(self.reader.steps(state.epoch, state.positions)) as steps:
            while True:
                began = time.perf_counter()
                item = next(steps)
                waited = time.perf_counter() - began
                agreed = self._agree(item)
                over = not agreed.events and not agreed.rows
                if not over:
                    self._step(item, agreed, began, waited)
                if agreed.stop:
                    self._save_now()  # time is short: before the reader's thread is waited for
                    raise Stopped
                if over:
                    return

    def _agree(self, item: StepInput) -> _Agreed:
        """The one all-reduce of a step: what it is made of, and what is to be done after it."""
        targets, events = sum(b.targets for b in item.batches), sum(b.events for b in item.batches)
        save, written, stop = self.saving.due(), self.saving.written(), self.stop.requested()
        totals = torch.tensor([targets, events, item.rows, save, written, stop], device=self.engine.device)
        return _Agreed(*self.collective.sum(totals).tolist())

    def _step(self, item: StepInput, agreed: _Agreed, began: float, waited: float) -> None:
        state = self.state
        factor = self.course.schedule.factor(state.step, self.reporting.epoch / self.course.epochs)
        result = self.engine.step(item.batches, agreed.targets, factor) if agreed.targets else None
        state.step += 1
        state.rows += agreed.rows
        state.events += agreed.events
        state.positions.update(item.after)
        seconds = time.perf_counter() - began
        state.seconds += seconds
        state.waited += waited
        state.window.add(result, agreed.events, seconds, waited)
        self.reporting.rate.add(agreed.events, seconds)
        if result:
            self._judge(result, item)
        if state.step % self.course.log_every == 0:
            self.reporting.step(factor * self.course.learning_rate)
        self.reporting.phase("training")
        if agreed.written == self.collective.world_size:
            self.saving.seal()
        # Until a step is good again, weights that may be broken must not push good checkpoints out.
        if agreed.save and not self.not_finite.in_a_row:
            self.save()

    def _judge(self, result: StepResult, item: StepInput) -> None:
        self.state.overflows += result.outcome == "overflow"
        if result.outcome == "not_finite":
            self.saving.seal()  # it is of an earlier step, and may be the one to go back to
        self.not_finite.judge(result, item.batches, self.state.step)

    def _roll_back(self) -> str | None:
        newest = find_newest(self.saving.folder, self.collective, self.progress)
        if newest:
            self.engine.load(CheckpointReader(newest), self.grow)
        return newest.name if newest else None

    def _evaluate(self, validate: Callable[[], dict[str, float]]) -> None:
        state, course = self.state, self.course
        self.reporting.phase("evaluating")
        try:
            state.metrics = validate()
        except Stopped:
            self._save_now()
            raise
        if course.select not in state.metrics:
            measured = ", ".join(sorted(state.metrics))
            raise UserError(f"evaluate.select={course.select} is not measured: choose one of {measured}")
        value = state.metrics[course.select]
        if math.isnan(value):
            raise UserError(f"{course.select} can't be measured: no row of the valid split is left to measure")
        self.reporting.evaluation(improved=state.add_evaluation(value))

    def _out_of_patience(self) -> bool:
        stopped = self.course.patience is not None and self.state.stale >= self.course.patience
        if stopped:
            self.progress.message(
                f"no gain in {self.course.select} in {self.state.stale} evaluations: training stops at epoch "
                f"{self.state.epoch}"
            )
        return stopped

    def save(self) -> None:
        """Begin a checkpoint of where the training stands, written while it goes on."""
        self.reporting.phase("saving")
        own = {lane: place for lane, place in self.state.positions.items() if lane in self.reader.mine}
        # Of other ranks' lanes this one knows at best where they stood when the run was resumed.
        self.saving.begin(self.engine.state(), replace(self.state, positions=own))

    def _save_now(self) -> None:
        self.save()
        self.saving.finish()


class _Agreed(NamedTuple):
    """Sums over all ranks.

    Attributes:
        targets, events, rows: in the step.
        save: whether it is time to.
        written: ranks that have written their share of the save in flight.
        stop: ranks that were asked to stop.
    """

    targets: int
    events: int
    rows: int
    save: int
    written: int
    stop: int
