"""The window mask: only neighbours meet."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from saccade.models.attention.coordinates import Coordinates
from saccade.models.attention.masks.mask import Mask
from saccade.models.registry import register


@register("mask", "window")
@dataclass(frozen=True)
class Window(Mask):
    """Query i attends to key j where i - before <= j <= i + after ("Longformer", Beltagy et al. 2020, section 3.1).

    Attributes:
        before: how many keys before itself a query sees, at least 0.
        after: how many after itself, at least 0.

    Raises:
        ValueError: one of them is negative.
    """

    before: int = 128
    after: int = 0

    def __post_init__(self) -> None:
        for name, value in (("before", self.before), ("after", self.after)):
            if value < 0:
                raise ValueError(f"mask window: {name}={value} must be at least 0; a query always sees itself")

    def allows(self, query: Coordinates, key: Coordinates) -> Tensor:
        """See Mask."""
        back = query.position - key.position
        return (back <= self.before) & (back >= -self.after)
