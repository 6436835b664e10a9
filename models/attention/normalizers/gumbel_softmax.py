"""Softmax of scores with Gumbel noise: a differentiable draw of one key."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from saccade.models.attention.normalizers.hard import straight_through
from saccade.models.attention.normalizers.normalizer import Normalizer
from saccade.models.attention.normalizers.temperature import checked
from saccade.models.registry import register


@register("normalizer", "gumbel_softmax")
class GumbelSoftmax(Normalizer):
    """softmax((s + g) / t), with g_j = -log(-log(u_j)) and u_j drawn uniformly from (0, 1).

    Key j has the largest s_j + g_j with the probability softmax(s)_j, whatever t is; as t falls the weights near that
    key's one-hot ("Categorical Reparameterization with Gumbel-Softmax", Jang et al. 2017; "The Concrete Distribution",
    Maddison et al. 2017). Noise comes from torch's generator of the device. In evaluation there is none, which leaves
    softmax(s / t), or the best key's one-hot if ``hard``.

    Args:
        temperature: t, at the first step.
        final_temperature: t after ``steps`` steps, and from then on; it goes there by a constant factor a step
            (``at_step`` says which step it is). None to stay at ``temperature``.
        steps: see ``final_temperature``.
        hard: whether weights are the one-hot of the largest, with the gradient of the soft ones.

    Raises:
        ValueError: an option out of its range.
    """

    def __init__(
        self,
        temperature: float = 1.0,
        final_temperature: float | None = None,
        steps: int = 10_000,
        hard: bool = False,
    ) -> None:
        super().__init__()
        if steps < 1:
            raise ValueError(f"gumbel_softmax: steps={steps} is no schedule: set 1 or more, or no final_temperature")
        self.first = checked("gumbel_softmax", "temperature", temperature)
        self.final = self.first
        if final_temperature is not None:
            self.final = checked("gumbel_softmax", "final_temperature", final_temperature)
        self.steps = steps
        self.hard = hard
        self.step = 0

    def at_step(self, step: int) -> None:
        """Set the temperature to that of the optimizer's step number ``step``, from 0."""
        self.step = step

    @property
    def temperature(self) -> float:
        """The temperature of the present step."""
        done = min(self.step / self.steps, 1.0)
        return math.pow(self.first, 1 - done) * math.pow(self.final, done)

    def weigh(self, scores: Tensor) -> Tensor:
        """See Normalizer."""
        if self.training:
            scores = scores + gumbel_noise(scores)
        weights = (scores / self.temperature).softmax(-1)
        return straight_through(scores, weights) if self.hard else weights


def gumbel_noise(like: Tensor) -> Tensor:
    """Independent draws from Gumbel(0, 1), in the shape and dtype of ``like``."""
    # On a CPU torch draws uniform numbers seven times as fast as exponential ones. In float32 the tail ends at 16.6,
    # beyond which six draws in a hundred million would lie.
    uniform = torch.empty_like(like, requires_grad=False).uniform_(torch.finfo(like.dtype).tiny, 1.0)
    return uniform.log_().neg_().log_().neg_()
