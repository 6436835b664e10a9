"""How a token's place enters attention: the fourth part of a formula, in one of three ways."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from saccade.models.attention.coordinates import Coordinates
from saccade.models.jagged import Layout


class Position(nn.Module):
    """Base of all positions; each is one of ``TokenPosition``, ``Rotation`` and ``Bias``."""


class TokenPosition(Position):
    """A vector added to every token before the first layer."""

    def forward(self, layout: Layout) -> Tensor:
        """[T, D]."""
        raise NotImplementedError


class Rotation(Position):
    """A change of queries and keys by their own place, before they meet."""

    def forward(self, tokens: Tensor, place: Coordinates) -> Tensor:
        """[T, H, D] with coordinates of [T] -> [T, H, D]."""
        raise NotImplementedError


class Bias(Position):
    """A number added to the score of each pair.

    Args:
        heads: heads of the layer; each has its own bias.
    """

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.heads = heads

    def at(self, head: Tensor, query: Coordinates, key: Coordinates) -> Tensor:
        """The bias of each pair, element by element: head indices (int64) and coordinates broadcast together."""
        raise NotImplementedError

    def forward(self, query: Coordinates, key: Coordinates) -> Tensor:
        """Coordinates of [N or 1, 1, Lq, 1] and [N or 1, 1, 1, Lk] -> [N or 1, H, Lq, Lk]."""
        head = torch.arange(self.heads, device=query.position.device)[:, None, None]
        return self.at(head, query, key)
