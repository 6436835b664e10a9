"""BST: a Transformer over the history and the target."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from saccade.models.attention.choice import FROM_END, TRANSFORMER, AttentionChoice
from saccade.models.dropout import Dropout
from saccade.models.encoder import Encoder
from saccade.models.jagged import Jagged, Layout
from saccade.models.recommendation.impressions import Impressions, Interest, seen
from saccade.models.registry import Choice


class BST(nn.Module):
    """The target stands at the history's end, all attend to all, and its own output is the row's interest.

    ("Behavior Sequence Transformer for E-commerce Recommendation in Alibaba", Chen et al. 2019, section 2.2.) The paper
    lays the outputs of all places side by side, which takes histories of one length; positions here are places counted
    from the target, where the paper's are times.
    """

    def __init__(
        self,
        dim: int,
        blocks: int,
        heads: int,
        hidden: int,
        dropout: float,
        max_length: int,
        attention: AttentionChoice = FROM_END,
        block: Choice = TRANSFORMER,
    ) -> None:
        """``max_length`` events of a history at most; see ``Encoder``."""
        super().__init__()
        self.positions = attention.token_positions(dim, max_length + 1)
        self.dropout = Dropout(dropout)
        self.encoder = Encoder(dim, blocks, heads, hidden, dropout, max_length + 1, None, attention, block)

    def forward(self, impressions: Impressions) -> Interest:
        """[B, D] targets and [T, D] events -> [B, D]."""
        target, history = seen(impressions)
        tokens = append(history, target)
        values = tokens.values
        for position in self.positions:
            values = values + position(tokens.layout)
        encoded: Tensor = self.encoder(tokens.with_values(self.dropout(values)))
        return Interest(encoded[tokens.layout.last])


def append(history: Jagged, last: Tensor) -> Jagged:
    """Each example with one token more, [B, D], at its end."""
    layout = history.layout.derive(_longer)
    # Every example before a token has made its place one later.
    index = torch.arange(layout.total, device=layout.device) - layout.example
    index[layout.last] = history.layout.total + torch.arange(len(layout), device=layout.device)
    return Jagged(torch.cat([history.values, last])[index], layout)


def _longer(layout: Layout) -> Layout:
    return Layout(layout.lengths + 1, layout.device)
