"""Mixing each token with its neighbours: attention can learn that too, but from far more data."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu

from saccade.models.jagged import Jagged
from saccade.models.products import Linear


class LocalMixing(nn.Module):
    """A convolution over each example's tokens that never looks into the next example; zeros stand past its ends.

    ("Convolutional Neural Networks for Sentence Classification", Kim 2014, section 2.)
    """

    def __init__(self, dim: int, reach: int) -> None:
        """``dim`` features a token; ``reach`` neighbours on each side."""
        super().__init__()
        self.reach = reach
        self.mixing = Linear((2 * reach + 1) * dim, dim)

    def forward(self, tokens: Jagged) -> Tensor:
        """[T, D] -> [T, D]."""
        layout = tokens.layout
        step = torch.arange(-self.reach, self.reach + 1, device=layout.device)
        place = layout.position[:, None] + step
        outside = (place < 0) | (place >= layout.offsets.diff()[layout.example][:, None])
        index = (layout.offsets[:-1][layout.example][:, None] + place).masked_fill(outside, 0)
        neighbours = tokens.values[index].masked_fill(outside[:, :, None], 0.0)
        mixed: Tensor = gelu(self.mixing(neighbours.flatten(1)))
        return mixed
