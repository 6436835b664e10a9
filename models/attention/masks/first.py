"""The mask of global tokens: an example's first tokens are for everybody."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from saccade.models.attention.coordinates import Coordinates
from saccade.models.attention.masks.mask import Mask
from saccade.models.registry import register


@register("mask", "first")
@dataclass(frozen=True)
class First(Mask):
    """Every query attends to the first tokens of its example: key j where j < tokens.

    Alone it hides the rest; in a union with a window it adds global tokens to it ("Longformer", Beltagy et al. 2020,
    section 3.1, of which this is the half that looks at global tokens).

    Attributes:
        tokens: how many, at least 1.

    Raises:
        ValueError: fewer than 1.
    """

    tokens: int = 1

    def __post_init__(self) -> None:
        if self.tokens < 1:
            raise ValueError(f"mask first: tokens={self.tokens} must be at least 1; leave the mask out for none")

    def allows(self, query: Coordinates, key: Coordinates) -> Tensor:
        """See Mask."""
        return key.position < self.tokens
