"""ALiBi: scores fall with distance, at a fixed slope a head."""

from __future__ import annotations

import torch
from torch import Tensor

from saccade.models.attention.coordinates import Coordinates
from saccade.models.attention.positions.position import Bias
from saccade.models.registry import register


@register("position", "alibi")
class ALiBi(Bias):
    """Bias of head h = -slope_h · |i - j| ("Train Short, Test Long", Press, Smith and Lewis 2022, section 3).

    The paper's models are causal, where |i - j| is its i - j; without a causal mask both directions fall alike. Nothing
    is learned: the slopes are a buffer that follows the module's dtype and isn't saved.
    """

    slopes: Tensor

    def __init__(self, heads: int) -> None:
        """``heads``: any number; see ``slopes``."""
        super().__init__(heads)
        self.register_buffer("slopes", torch.tensor(slopes(heads)), persistent=False)

    def at(self, head: Tensor, query: Coordinates, key: Coordinates) -> Tensor:
        """See Bias."""
        slope = self.slopes[head]
        wide = torch.promote_types(slope.dtype, torch.float32)  # half precision can't count far: float16 to 65,504
        return (-slope.to(wide) * (query.position - key.position).abs()).to(slope.dtype)


def slopes(heads: int) -> list[float]:
    """The slope of each head.

    The paper's geometric sequence 2^(-8 / H), 2^(-16 / H), …, 2^-8 where H is a power of two. For another H, as in its
    authors' code: those of the power of two below it, then every other one of twice that power, from the first on.
    """
    power = 1 << (heads.bit_length() - 1)
    own = [2 ** (-8 * (h + 1) / power) for h in range(power)]
    between = [2 ** (-8 * (2 * h + 1) / (2 * power)) for h in range(heads - power)]
    return own + between
