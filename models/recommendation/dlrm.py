"""DLRM: what any two features have to say to each other, as dot products."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from saccade.models.recommendation.mlp import MLP


class DotInteraction(nn.Module):
    """[z; v_i · v_j for i < j] with z = MLP(numbers) one of the vectors.

    ("Deep Learning Recommendation Model for Personalization and Recommendation Systems", Naumov et al. 2019,
    section 2.1.) Without numbers there is no z.
    """

    def __init__(self, vectors: int, dim: int, numbers: int, dropout: float) -> None:
        """``vectors`` of ``dim`` features and so many ``numbers`` a row; the MLP has layers of 2 dim and of dim."""
        super().__init__()
        self.bottom = MLP(numbers, (2 * dim, dim), dropout) if numbers else None
        count = vectors + bool(numbers)
        self.register_buffer("pairs", torch.triu_indices(count, count, 1), persistent=False)
        self.width = count * (count - 1) // 2 + (dim if numbers else 0)

    def forward(self, vectors: Tensor, numbers: Tensor) -> Tensor:
        """[B, V, D] and [B, F] -> [B, width]."""
        parts = []
        if self.bottom is not None:
            dense = self.bottom(numbers)
            vectors = torch.cat([dense[:, None], vectors], 1)
            parts.append(dense)
        i, j = self.pairs  # type: ignore[misc]  # a buffer is a tensor
        products = vectors @ vectors.transpose(1, 2)
        return torch.cat([*parts, products[:, i, j]], 1)
