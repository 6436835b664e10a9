"""All features of a row side by side: what a plain network of layers starts from."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Concat(nn.Module):
    """[vectors; numbers]."""

    def __init__(self, vectors: int, dim: int, numbers: int) -> None:
        """``vectors`` of ``dim`` features and so many ``numbers`` a row."""
        super().__init__()
        self.width = vectors * dim + numbers

    def forward(self, vectors: Tensor, numbers: Tensor) -> Tensor:
        """[B, V, D] and [B, F] -> [B, width]."""
        return torch.cat([vectors.flatten(1), numbers], 1)
