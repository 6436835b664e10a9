"""What is done to a step's gradient as a whole, the same by every engine: loss scale, clipping, and the verdict on it.

The norm is one over the network's gradient and the seam's, that is, the gradient of every looked-up row before the
repeats of a row are added up, and of all rows that a loss scores. So it costs one scalar of communication, and does not
depend on how tables are cut.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from saccade.pipelines.engines.precision import Precision

Outcome = Literal["stepped", "overflow", "not_finite"]
"""What became of a step, see ``StepResult``."""

FIRST_SCALE, GROWTH_INTERVAL = 2.0**16, 2000


@dataclass(frozen=True)
class Verdict:
    """What to do with a gradient.

    Attributes:
        outcome: of the step.
        norm: of the true gradient, before clipping.
        coefficient: what the scaled gradient is to be multiplied with, to be unscaled and clipped.
    """

    outcome: Outcome
    norm: float
    coefficient: float


class GradientScaling:
    """The loss scale and the clipping of one training; equal on every rank.

    fp16 gets a dynamic loss scale ("Mixed Precision Training", Micikevicius et al. 2018, section 3.2): halved at an
    overflow, doubled after 2000 steps without one. The others have none: their range is float32's.

    Args:
        precision: of forward and backward pass.
        clip: the largest norm of a step's gradient; None for no clipping.
    """

    def __init__(self, precision: Precision, clip: float | None) -> None:
        self.dynamic, self.clip = precision == "fp16", clip
        self.scale = FIRST_SCALE if self.dynamic else 1.0
        self.good_steps = 0

    def judge(self, loss: float, scaled_norm: float) -> Verdict:
        """Look at a step's loss and the norm of its scaled gradient, and adapt the loss scale.

        Clipping multiplies by clip / (norm + 1e-6) where that is below 1, as torch does.
        """
        norm, scale = scaled_norm / self.scale, self.scale
        if math.isfinite(loss) and math.isfinite(norm):
            self.good_steps += 1
            if self.dynamic and self.good_steps == GROWTH_INTERVAL:
                self.scale, self.good_steps = 2 * self.scale, 0
            clipped = 1.0 if self.clip is None else min(1.0, self.clip / (norm + 1e-6))
            return Verdict("stepped", norm, clipped / scale)
        self.good_steps = 0
        if self.dynamic and math.isfinite(loss) and self.scale > 1:
            self.scale /= 2
            return Verdict("overflow", norm, 0.0)
        return Verdict("not_finite", norm, 0.0)

    def state(self) -> dict[str, float]:
        """For a checkpoint."""
        return {"loss_scale": self.scale, "good_steps": float(self.good_steps)} if self.dynamic else {}

    def load(self, saved: Mapping[str, float]) -> None:
        """Go on from a checkpoint, of whichever precision."""
        if self.dynamic:
            self.scale = saved.get("loss_scale", FIRST_SCALE)
            self.good_steps = int(saved.get("good_steps", 0))


def squares(gradients: Iterable[Tensor | None]) -> float:
    """The sum of the squares of all elements."""
    found = [g for g in gradients if g is not None and g.numel()]
    return float(torch.nn.utils.get_total_norm(found)) ** 2 if found else 0.0
