"""A learned vector a position, to add to the token's embedding.

The module gives a plain tensor: ZeRO 3 finds the parameters that a backward pass needs by the tensors that a module
returns.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from saccade.models.attention.positions.extent import extent
from saccade.models.attention.positions.position import TokenPosition
from saccade.models.jagged import Layout
from saccade.models.registry import register
from saccade.models.rows import take_rows


def from_end(layout: Layout) -> Tensor:
    """[T] int64: each token's distance from its example's last token (0 for the last)."""
    return layout.last[layout.example] - torch.arange(layout.total, device=layout.device)


@register("position", "learned")
class LearnedPositions(TokenPosition):
    """A learned vector a position, counted from the sequence's start or, ``reversed``, from its end.

    Counting from the end gives the most recent event the same vector whatever the history's length, as left-padded
    SASRec does ("Self-Attentive Sequential Recommendation", Kang and McAuley 2018, section III-A).
    """

    def __init__(self, max_length: int, dim: int, *, reversed: bool = False) -> None:
        """Make the table.

        Args:
            max_length: how many positions it has.
            dim: a token's features.
            reversed: count from the end.

        Raises:
            ValueError: fewer than one position.
        """
        super().__init__()
        if max_length < 1:
            raise ValueError(f"learned positions: max_length={max_length} must be at least 1, the longest example")
        self.weight = nn.Parameter(torch.randn(max_length, dim) * 0.02)
        self.reversed = reversed

    def forward(self, layout: Layout) -> Tensor:
        """[T, D].

        Raises:
            ValueError: an example is longer than the table, or is the continuation of one whose tokens would all move:
                counted from the end, another token changes the places of those before it.
        """
        if self.reversed and layout.start is not None and layout.start.any():
            raise ValueError(
                "positions counted from the end can't continue a sequence, as each new token moves those before it: "
                "run the whole sequence, or choose positions that count from the start"
            )
        length = extent(layout)
        if length > self.weight.shape[0]:
            raise ValueError(f"an example has {length} tokens, but there are {self.weight.shape[0]} positions")
        index = layout.derive(from_end) if self.reversed else layout.position
        return take_rows(self.weight, index)

    def extra_repr(self) -> str:
        """Shown by ``print(module)``."""
        length, dim = self.weight.shape
        return f"{length}, {dim}" + (", reversed=True" if self.reversed else "")
