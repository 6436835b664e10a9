"""What a training says of itself: numbers for trackers, a state and messages for people."""

from __future__ import annotations

import math
from collections.abc import Sequence

from saccade.pipelines.records.progress import Phase, Progress, Rate
from saccade.pipelines.records.tracker import Tracker
from saccade.pipelines.training.state import TrainingState
from saccade.pipelines.training.window import Window


class Reporting:
    """Tells trackers and people how a training goes; on ranks other than 0 there are none to tell.

    Args:
        state: the loop's.
        rows: in the training split.
        epochs: passes over them.
        trackers: get the numbers.
        progress: shown to people.
    """

    def __init__(
        self, state: TrainingState, *, rows: int, epochs: int, trackers: Sequence[Tracker], progress: Progress
    ) -> None:
        self.state, self.rows, self.epochs, self.trackers, self.progress = state, rows, epochs, trackers, progress
        self.rate = Rate()

    @property
    def epoch(self) -> float:
        """Epochs done, with a fraction."""
        return self.state.epoch + self.state.rows / self.rows

    def step(self, learning_rate: float) -> None:
        """Log the steps since this was last called."""
        numbers = {
            **self.state.window.numbers(),
            "train/learning_rate": learning_rate,
            "train/epoch": self.epoch,
        }
        if self.state.overflows:
            numbers["train/overflows"] = self.state.overflows
        if math.isfinite(numbers["train/loss"]):
            self.progress.update(loss=numbers["train/loss"])
        for tracker in self.trackers:
            tracker.log(self.state.step, numbers)
        self.state.window = Window()

    def evaluation(self, improved: bool) -> None:
        """Log the metrics of an evaluation at the end of an epoch."""
        state = self.state
        for tracker in self.trackers:
            tracker.log(state.step, state.metrics)
        shown = "  ".join(f"{name} {number:.4f}" for name, number in sorted(state.metrics.items()))
        best = "  (best so far)" if improved else ""
        self.progress.message(f"epoch {state.epoch + 1}, step {state.step}: {shown}{best}")

    def phase(self, phase: Phase) -> None:
        """Show what the training is doing, and how far it is."""
        fraction = self.epoch / self.epochs
        self.progress.update(
            phase=phase,
            step=self.state.step,
            epoch=self.epoch,
            epochs=self.epochs,
            fraction=fraction,
            events_per_second=self.rate.events_per_second,
            eta_seconds=self.rate.eta_seconds(fraction),
        )

    def warning(self, text: str) -> None:
        """Say that something is amiss."""
        self.progress.message(text, "WARNING")
