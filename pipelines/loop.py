"""The training loop: the same for every task, engine and number of workers."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from saccade.pipelines.checkpoint.retention import prune
from saccade.pipelines.checkpoint.writer import save
from saccade.pipelines.engine import Engine
from saccade.pipelines.errors import UserError
from saccade.pipelines.order.reader import Reader, StepInput
from saccade.pipelines.progress import Progress, Rate
from saccade.pipelines.schedule import Schedule
from saccade.pipelines.state import TrainingState
from saccade.pipelines.task import Task
from saccade.pipelines.tracker import Tracker


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
        save_every: seconds from one checkpoint to the next, besides one at each evaluation.
        keep_last, keep_best: how many checkpoints stay.
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
        trackers: get the numbers; empty on ranks other than 0.
        progress: shown to people; silent on ranks other than 0.
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
        trackers: Sequence[Tracker],
        progress: Progress,
    ) -> None:
        self.engine, self.task, self.reader, self.rows = engine, task, reader, rows
        self.course, self.state, self.validate = course, state, validate
        self.folder, self.job, self.trackers, self.progress = folder, job, trackers, progress
        self.collective = engine.collective
        self.rate = Rate()
        self.saved_at = time.monotonic()
        self.window = _Window()

    def run(self) -> None:
        """Train to the end of the course, from wherever the state stands."""
        state, course = self.state, self.course
        while state.epoch < course.epochs and not state.finished:
            self._epoch()
            state.epoch, state.rows, state.positions = state.epoch + 1, 0, {}
            last = state.epoch == course.epochs
            if self.validate and (last or state.epoch % course.evaluate_every == 0):
                self._evaluate(self.validate)
            state.finished = self._out_of_patience()
            if last or state.finished or state.epoch % course.evaluate_every == 0:
                self.save()

    def _epoch(self) -> None:
        state = self.state
        with closing(self.reader.steps(state.epoch, state.positions)) as steps:
            while True:
                began = time.perf_counter()
                item = next(steps)
                waited = time.perf_counter() - began
                targets, events, rows, save_now = self._totals(item)
                if not events and not rows:
                    return
                fraction = (state.epoch + state.rows / self.rows) / self.course.epochs
                factor = self.course.schedule.factor(state.step, fraction)
                loss = self.engine.step(item.batches, targets, factor) if targets else 0.0
                state.step += 1
                state.rows += rows
                state.events += events
                state.positions.update(item.after)
                seconds = time.perf_counter() - began
                state.seconds += seconds
                self.window.add(loss, events, seconds, waited)
                self.rate.add(events, seconds)
                if state.step % self.course.log_every == 0:
                    self._log(factor)
                self._show("training")
                if save_now:
                    self.save()

    def _totals(self, item: StepInput) -> tuple[int, int, int, bool]:
        """The step's targets, events and rows over all ranks, and whether rank 0's clock says to save after it."""
        due = self.collective.rank == 0 and time.monotonic() - self.saved_at >= self.course.save_every
        targets, events = sum(b.targets for b in item.batches), sum(b.events for b in item.batches)
        totals = torch.tensor([targets, events, item.rows, int(due)], device=self.engine.device)
        targets, events, rows, save_now = self.collective.sum(totals).tolist()
        return targets, events, rows, bool(save_now)

    def _log(self, factor: float) -> None:
        window, state = self.window, self.state
        loss = self._finite_loss() / window.steps
        self.progress.update(loss=loss)
        numbers = {
            "train/loss": loss,
            "train/learning_rate": factor * self.course.learning_rate,
            "train/events_per_second": window.events / window.seconds,
            "train/step_seconds": window.seconds / window.steps,
            "train/data_wait": window.waited / window.seconds,
            "train/epoch": state.epoch + state.rows / self.rows,
        }
        for tracker in self.trackers:
            tracker.log(state.step, numbers)
        self.window = _Window()

    def _finite_loss(self) -> float:
        """The sum of the losses since the last logged step, over all ranks; a UserError where it isn't finite."""
        loss = float(self.collective.sum(torch.tensor(self.window.loss, device=self.engine.device)))
        if not math.isfinite(loss):
            raise UserError(
                f"the loss is {loss} near step {self.state.step}: lower optimizer.learning_rate or the tables' "
                "learning_rate, or use train.precision=fp32; the same command then goes on from the last checkpoint"
            )
        return loss

    def _show(self, phase: Any) -> None:
        state = self.state
        epoch = state.epoch + state.rows / self.rows
        fraction = epoch / self.course.epochs
        self.progress.update(
            phase=phase,
            step=state.step,
            epoch=epoch,
            epochs=self.course.epochs,
            fraction=fraction,
            events_per_second=self.rate.events_per_second,
            eta_seconds=self.rate.eta_seconds(fraction),
        )

    def _evaluate(self, validate: Callable[[], dict[str, float]]) -> None:
        state, course = self.state, self.course
        self._show("evaluating")
        state.metrics = validate()
        if course.select not in state.metrics:
            measured = ", ".join(sorted(state.metrics))
            raise UserError(f"evaluate.select={course.select} is not measured: choose one of {measured}")
        value = state.metrics[course.select]
        if math.isnan(value):
            raise UserError(f"{course.select} can't be measured: no row of the valid split is left to measure")
        improved = not state.best or value > state.best[0][0]
        state.stale = 0 if improved else state.stale + 1
        # Of equally good evaluations the first one counts.
        best = sorted([*state.best, (value, state.step)], key=lambda found: (-found[0], found[1]))
        state.best = best[: max(course.keep_best, 1)]
        for tracker in self.trackers:
            tracker.log(state.step, state.metrics)
        shown = "  ".join(f"{name} {number:.4f}" for name, number in sorted(state.metrics.items()))
        self.progress.message(f"epoch {state.epoch}, step {state.step}: {shown}{'  (best so far)' if improved else ''}")

    def _out_of_patience(self) -> bool:
        stopped = self.course.patience is not None and self.state.stale >= self.course.patience
        if stopped:
            self.progress.message(
                f"no gain in {self.course.select} in {self.state.stale} evaluations: training stops at epoch "
                f"{self.state.epoch}"
            )
        return stopped

    def save(self) -> None:
        """Write a checkpoint of where the training stands, and remove those that need not be kept."""
        self._finite_loss()  # a run must not go on from broken weights
        self._show("saving")
        state = self.state
        # Of other ranks' lanes this rank knows at best where they stood when the run was resumed.
        own = {lane: place for lane, place in state.positions.items() if lane in self.reader.mine}
        positions = {k: p for theirs in self.collective.gather_objects(own) for k, p in theirs.items()}
        training = TrainingState(**{**vars(state), "positions": positions}).to_json()
        save(
            self.folder,
            self.engine.state(),
            step=state.step,
            training=training,
            job=self.job,
            tables=self.task.tables,
            collective=self.collective,
        )
        if self.collective.rank == 0:
            best = [step for _, step in state.best[: self.course.keep_best]]
            prune(self.folder, self.course.keep_last, best, saved=state.step)
        self.saved_at = time.monotonic()


class _Window:
    """Sums since the last logged step; the loss is this rank's part."""

    def __init__(self) -> None:
        self.steps = self.events = 0
        self.loss = self.seconds = self.waited = 0.0

    def add(self, loss: float, events: int, seconds: float, waited: float) -> None:
        self.steps += 1
        self.events += events
        self.loss += loss
        self.seconds += seconds
        self.waited += waited
