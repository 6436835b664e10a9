"""The learning rate's course over a run, as a factor that tables and network share."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Schedule:
    """A linear warm-up, then a constant, cosine or linear course.

    The course follows the fraction of all rows of all epochs that are done, which does not depend on the number of
    workers; how many steps an epoch takes is not known before its rows are read.

    Attributes:
        kind: of the course after the warm-up.
        warmup_steps: the factor rises from 1 / warmup_steps to 1 over so many steps.
        final_fraction: the factor at the end (cosine and linear).
    """

    kind: Literal["constant", "cosine", "linear"] = "constant"
    warmup_steps: int = 0
    final_fraction: float = 0.0

    def factor(self, step: int, fraction: float) -> float:
        """The factor at a step (from 0), with this fraction (0 .. 1) of the run done."""
        warmup = min(1.0, (step + 1) / self.warmup_steps) if self.warmup_steps else 1.0
        left = 1.0
        if self.kind == "cosine":
            left = 0.5 * (1 + math.cos(math.pi * min(fraction, 1.0)))
        elif self.kind == "linear":
            left = 1.0 - min(fraction, 1.0)
        return warmup * (self.final_fraction + (1 - self.final_fraction) * left)
