"""How negatives are drawn, and how often each of them is to be expected."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor


class Sampler(Protocol):
    """Draws items with replacement; ids are 1 .. items - 1."""

    def draw(self, count: int, items: int, generator: torch.Generator) -> Tensor:
        """[count] int64."""

    def probability(self, ids: Tensor, items: int) -> Tensor:
        """[N] float64: of drawing each of these at one draw."""


class Uniform:
    """Every item alike."""

    def draw(self, count: int, items: int, generator: torch.Generator) -> Tensor:
        """See Sampler."""
        return torch.randint(1, items, (count,), generator=generator)

    def probability(self, ids: Tensor, items: int) -> Tensor:
        """See Sampler."""
        return torch.full(ids.shape, 1 / (items - 1), dtype=torch.float64)


class Popular:
    """Items by how often training meets them."""

    def __init__(self, counts: Tensor, exponent: float = 1.0) -> None:
        """``counts`` [items] of each item's events in training, to the power of ``exponent``; item 0 counts nothing."""
        weights = counts.double().pow(exponent) * (counts > 0)
        weights[0] = 0
        self.share = weights / weights.sum()
        self._upto = self.share.cumsum(0)
        self._most = int(weights.nonzero().max())

    def draw(self, count: int, items: int, generator: torch.Generator) -> Tensor:
        """See Sampler; a binary search a draw, whatever the number of items."""
        place = torch.rand(count, generator=generator, dtype=torch.float64) * self._upto[-1]
        return torch.searchsorted(self._upto, place, right=True).clamp(max=self._most)

    def probability(self, ids: Tensor, items: int) -> Tensor:
        """See Sampler."""
        return self.share[ids]
