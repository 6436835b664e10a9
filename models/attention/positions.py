"""Where a token stands in its sequence, as a vector to add to its embedding.

These modules give plain tensors: ZeRO 3 finds the parameters that a backward pass needs by the tensors that a module
returns.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from saccade.models.jagged import Layout


def from_end(layout: Layout) -> Tensor:
    """[T] int64: each token's distance from its example's last token (0 for the last)."""
    return layout.last[layout.example] - torch.arange(layout.total, device=layout.device)


class LearnedPositions(nn.Module):
    """A learned vector a position, counted from the sequence's start or, ``reversed``, from its end.

    Counting from the end gives the most recent event the same vector whatever the history's length, as left-padded
    SASRec does ("Self-Attentive Sequential Recommendation", Kang and McAuley 2018, section III-A).
    """

    def __init__(self, length: int, dim: int, *, reversed: bool = False) -> None:
        """``length`` positions of ``dim``; ``reversed`` counts from the end."""
        super().__init__()
        self.weight = nn.Parameter(torch.randn(length, dim) * 0.02)
        self.reversed = reversed

    def forward(self, layout: Layout) -> Tensor:
        """[T, D]; ValueError for an example longer than the table."""
        if layout.max_length > self.weight.shape[0]:
            raise ValueError(
                f"an example has {layout.max_length} tokens, but there are {self.weight.shape[0]} positions"
            )
        index = layout.derive(from_end) if self.reversed else layout.position
        return self.weight[index]


class SinusoidalPositions(nn.Module):
    """Fixed sines and cosines of geometric wavelengths ("Attention Is All You Need", section 3.5); any length."""

    def __init__(self, dim: int) -> None:
        """``dim`` must be even."""
        super().__init__()
        self.dim = dim

    def forward(self, layout: Layout) -> Tensor:
        """[T, D] in float32."""
        rate = torch.exp(torch.arange(0, self.dim, 2, device=layout.device) * (-math.log(10000.0) / self.dim))
        angle = torch.arange(max(layout.max_length, 1), device=layout.device)[:, None] * rate  # [L, D / 2]
        table = torch.stack((angle.sin(), angle.cos()), dim=-1).flatten(1)
        return table[layout.position]
