"""The causal mask: nothing looks ahead."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from saccade.models.attention.coordinates import Coordinates
from saccade.models.attention.masks.mask import Mask
from saccade.models.registry import register


@register("mask", "causal")
@dataclass(frozen=True)
class Causal(Mask):
    """Query i attends to key j where j <= i ("Attention Is All You Need", Vaswani et al. 2017, section 3.2.3)."""

    def allows(self, query: Coordinates, key: Coordinates) -> Tensor:
        """See Mask."""
        return key.position <= query.position
