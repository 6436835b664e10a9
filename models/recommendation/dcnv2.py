"""DCNv2: products of features of a bounded degree, learned layer by layer."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from saccade.models.products import Linear


class CrossNetwork(nn.Module):
    """x_{l+1} = x_0 ⊙ (W_l x_l + b_l) + x_l with x_0 = [vectors; numbers].

    ("DCN V2: Improved Deep & Cross Network and Practical Lessons for Web-scale Learning to Rank Systems", Wang et al.
    2021, equation 1; with a ``rank``, W = U Vᵀ as in equation 2.) The network of layers comes after it: the paper's
    stacked structure.
    """

    def __init__(self, vectors: int, dim: int, numbers: int, crosses: int, rank: int | None = None) -> None:
        """Make the layers.

        Args:
            vectors: of a row, each of ``dim`` features.
            dim: features of a vector.
            numbers: of a row.
            crosses: layers.
            rank: of their matrices; None for full ones.
        """
        super().__init__()
        width = self.width = vectors * dim + numbers
        self.layers = nn.ModuleList(
            Linear(width, width)
            if rank is None
            else nn.Sequential(Linear(width, rank, bias=False), Linear(rank, width))
            for _ in range(crosses)
        )

    def forward(self, vectors: Tensor, numbers: Tensor) -> Tensor:
        """[B, V, D] and [B, F] -> [B, width]."""
        first = torch.cat([vectors.flatten(1), numbers], 1)
        crossed = first
        for layer in self.layers:
            crossed = first * layer(crossed) + crossed
        return crossed
