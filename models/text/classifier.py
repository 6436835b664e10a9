"""A classifier of texts."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from saccade.models.attention.choice import FROM_START, TRANSFORMER, AttentionChoice
from saccade.models.classifier import SequenceClassifier
from saccade.models.dropout import Dropout
from saccade.models.jagged import Jagged
from saccade.models.registry import Choice


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
        attention: AttentionChoice = FROM_START,
        block: Choice = TRANSFORMER,
    ) -> None:
        """``hidden`` is the width of the blocks' MLP, ``token_dropout`` the part of tokens hidden whole in training."""
        super().__init__()
        self.scale = dim**0.5
        self.token_dropout = Dropout(token_dropout)
        self.positions = attention.token_positions(dim, max_length)
        self.classifier = SequenceClassifier(
            classes=classes,
            dim=dim,
            blocks=blocks,
            heads=heads,
            hidden=hidden,
            dropout=dropout,
            reach=reach,
            max_length=max_length,
            attention=attention,
            block=block,
        )

    def forward(self, tokens: Jagged) -> Tensor:
        """Embedded tokens [T, D] -> [B, C] logits."""
        # A hidden token keeps its place: the position is added afterwards.
        shown = self.token_dropout(torch.ones_like(tokens.values[:, :1]))
        values = tokens.values * self.scale * shown
        for position in self.positions:
            values = values + position(tokens.layout)
        logits: Tensor = self.classifier(tokens.with_values(values))
        return logits
