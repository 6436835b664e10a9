"""The block mask: tokens of one session, sentence or document meet."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from saccade.models.attention.coordinates import Coordinates
from saccade.models.attention.masks.mask import Mask
from saccade.models.registry import register


@register("mask", "block")
@dataclass(frozen=True)
class Block(Mask):
    """A query attends to the keys with its own ``block`` number, wherever in the example they stand."""

    def allows(self, query: Coordinates, key: Coordinates) -> Tensor:
        """See Mask; ValueError where the layout has no ``block``."""
        return query.need("block", "mask block") == key.need("block", "mask block")
