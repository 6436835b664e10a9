"""A classifier of texts."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from saccade.models.attention.positions import LearnedPositions
from saccade.models.dropout import Dropout
from saccade.models.encoder import Encoder
from saccade.models.jagged import Jagged
from saccade.models.local import LocalMixing
from saccade.models.pooling import AttentionPooling


class TextClassifier(nn.Module):
    """Embedded tokens -> encoder -> attention pooling -> classes. The token table is not here."""

    def __init__(
        self,
        *,
        classes: int,
        dim: int,
        blocks: int,
        heads: int,
        hidden: int,
        dropout: float,
        token_dropout: float,
        reach: int,
        max_length: int,
    ) -> None:
        """``hidden`` is the width of the blocks' MLP, ``token_dropout`` the part of tokens hidden whole in training."""
        super().__init__()
        self.scale = dim**0.5
        self.token_dropout = Dropout(token_dropout)
        self.positions = LearnedPositions(max_length, dim)
        self.dropout = Dropout(dropout)
        self.local = LocalMixing(dim, reach)
        self.encoder = Encoder(dim, blocks, heads, hidden, dropout)
        self.pooling = AttentionPooling(dim)
        self.pooled_dropout = Dropout(dropout)
        self.classes = nn.Linear(dim, classes)

    def forward(self, tokens: Jagged) -> Tensor:
        """Embedded tokens [T, D] -> [B, C] logits."""
        # A hidden token keeps its place: the position is added afterwards.
        shown = self.token_dropout(torch.ones_like(tokens.values[:, :1]))
        values = self.dropout(tokens.values * self.scale * shown + self.positions(tokens.layout))
        values = values + self.dropout(self.local(tokens.with_values(values)))
        encoded = self.encoder(tokens.with_values(values))
        logits: Tensor = self.classes(self.pooled_dropout(self.pooling(tokens.with_values(encoded))))
        return logits
