"""Popularity: the same items for everybody."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from saccade.models.jagged import Jagged


class Popularity(nn.Module):
    """An item's score is how often training met it; any model that looks at a history has to do better."""

    counts: Tensor

    def __init__(self, items: int) -> None:
        """``items`` rows of ids, 0 included."""
        super().__init__()
        self.register_buffer("counts", torch.zeros(items, dtype=torch.int64))

    def fit(self, counts: Tensor) -> None:
        """Take the number of each item's events, [items] int64."""
        self.counts.copy_(counts)

    def forward(self, histories: Jagged) -> Tensor:
        """Item ids of B histories -> [B, items] float32."""
        return self.counts.float().expand(len(histories), -1)
