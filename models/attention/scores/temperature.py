"""A temperature that is learned."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class Temperature(nn.Module):
    """x_h / t_h, each head's temperature learned as its logarithm, so that it stays positive.

    Args:
        heads: H.
        initial: every t_h at the start.
    """

    def __init__(self, heads: int, initial: float) -> None:
        super().__init__()
        self.logarithm = nn.Parameter(torch.full((heads, 1), math.log(initial)))

    def forward(self, values: Tensor) -> Tensor:
        """[..., H, D] -> [..., H, D]."""
        return values * torch.exp(-self.logarithm)
