"""Multi-head target attention: one query, the target, over a history."""

from __future__ import annotations

import torch
from torch import nn

from saccade.models.attention.choice import FROM_END, AttentionChoice
from saccade.models.jagged import Jagged, Layout
from saccade.models.recommendation.impressions import Impressions, Interest, seen


class TargetAttention(nn.Module):
    """The target attends to the events, in several heads and with any score, normalizer and position.

    ("Attention Is All You Need", Vaswani et al. 2017, section 3.2.2, with one query a row.)
    """

    def __init__(self, dim: int, heads: int, max_length: int, attention: AttentionChoice = FROM_END) -> None:
        """``max_length`` events of a history at most; see ``AttentionChoice.layer``."""
        super().__init__()
        self.positions = attention.token_positions(dim, max_length)
        self.attention = attention.layer(dim, heads, max_length, memory_dim=dim)

    def forward(self, impressions: Impressions) -> Interest:
        """[B, D] targets and [T, D] events -> [B, D]; zeros for an empty history."""
        target, history = seen(impressions)
        events = history.values
        for position in self.positions:
            events = events + position(history.layout)
        # The target comes after all events, for positions that count them.
        one = Layout(torch.ones_like(history.layout.lengths), history.layout.device, start=history.layout.lengths)
        return Interest(self.attention(Jagged(target, one), history.with_values(events)))
