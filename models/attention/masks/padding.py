"""The padding mask: tokens that stand for nothing are attended by nobody."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from saccade.models.attention.coordinates import Coordinates
from saccade.models.attention.masks.mask import Mask
from saccade.models.registry import register


@register("mask", "padding")
@dataclass(frozen=True)
class Padding(Mask):
    """Every query attends to the keys that are ``valid``, in any place of the example.

    A packed batch holds no padding of its own; this is for tokens that the data itself marks as absent or unknown.
    """

    def allows(self, query: Coordinates, key: Coordinates) -> Tensor:
        """See Mask; ValueError where the layout has no ``valid``."""
        return key.need("valid", "mask padding")
