"""Fixed sines and cosines, to add to the token's embedding."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from saccade.models.attention.positions.extent import extent
from saccade.models.attention.positions.position import TokenPosition
from saccade.models.jagged import Layout
from saccade.models.registry import register


@register("position", "sinusoidal")
class SinusoidalPositions(TokenPosition):
    """Fixed sines and cosines of geometric wavelengths ("Attention Is All You Need", section 3.5); any length.

    Features 2i and 2i + 1 of position p are sin(p / 10000^(2i / D)) and cos(p / 10000^(2i / D)).
    """

    def __init__(self, dim: int) -> None:
        """``dim``, a token's features, must be even; ValueError where it isn't."""
        super().__init__()
        if dim % 2:
            raise ValueError(f"sinusoidal positions: dim={dim} must be even, a sine and a cosine for each wavelength")
        self.dim = dim

    def forward(self, layout: Layout) -> Tensor:
        """[T, D] in float32."""
        rate = torch.exp(torch.arange(0, self.dim, 2, device=layout.device) * (-math.log(10000.0) / self.dim))
        angle = torch.arange(max(extent(layout), 1), device=layout.device)[:, None] * rate  # [L, D / 2]
        table = torch.stack((angle.sin(), angle.cos()), dim=-1).flatten(1)
        return table[layout.position]
