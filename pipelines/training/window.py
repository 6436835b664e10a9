"""What happened since the last logged step."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # engine.py imports the checkpoints' package, state.py this file
    from saccade.pipelines.engines.engine import StepResult


@dataclass
class Window:
    """Sums since the last logged step. They are saved, so that a resumed run's first line covers as much as any other.

    Attributes:
        steps: taken, whatever became of them.
        stepped: those that changed weights; the next two sum over them.
        loss: of all ranks.
        gradient_norm: of all ranks.
        events: tokens of all ranks.
        seconds: of this rank, waiting for data included.
        waited: seconds of this rank without data.
    """

    steps: int = 0
    stepped: int = 0
    loss: float = 0.0
    gradient_norm: float = 0.0
    events: int = 0
    seconds: float = 0.0
    waited: float = 0.0

    def add(self, result: StepResult | None, events: int, seconds: float, waited: float) -> None:
        """Count a step; one without targets has no result."""
        self.steps += 1
        self.events += events
        self.seconds += seconds
        self.waited += waited
        if result and result.outcome == "stepped":
            self.stepped += 1
            self.loss += result.loss
            self.gradient_norm += result.gradient_norm

    def numbers(self) -> dict[str, float]:
        """Means, by the names that trackers know them by; NaN where no step changed weights."""
        return {
            "train/loss": self.loss / self.stepped if self.stepped else math.nan,
            "train/gradient_norm": self.gradient_norm / self.stepped if self.stepped else math.nan,
            "train/events_per_second": self.events / self.seconds,
            "train/step_seconds": self.seconds / self.steps,
            "train/data_wait": self.waited / self.seconds,
        }
