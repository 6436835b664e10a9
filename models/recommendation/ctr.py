"""A click model: features and history of a row -> the logit of each label."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from saccade.models.dropout import Dropout
from saccade.models.jagged import Jagged
from saccade.models.pooling import AttentionPooling
from saccade.models.recommendation.impressions import Impressions
from saccade.models.segments import segment_mean, segment_sum

Pooling = Literal["sum", "mean", "attention"]


class CtrNetwork(nn.Module):
    """Lists are pooled, the history becomes a vector, all vectors and numbers interact, and a head gives the logits.

    DIN, BST and the others differ in what reads the history, DLRM and DCNv2 in the interaction, MMoE in the head. The
    tables are not here: ids come in embedded.
    """

    def __init__(
        self,
        dim: int,
        pooling: Sequence[Pooling | None],
        history: nn.Module | None,
        interaction: nn.Module,
        head: nn.Module,
        dropout: float,
    ) -> None:
        """Put the parts together.

        Args:
            dim: features of a vector.
            pooling: of each feature that is a list, None for one that isn't.
            history: Impressions -> Interest; None for rows without a history.
            interaction: vectors [B, V, D] and numbers [B, F] -> [B, W]; V counts the interest.
            head: [B, W] -> [B, labels].
            dropout: probability, on all vectors.
        """
        super().__init__()
        self.pooling = list(pooling)
        self.attention = nn.ModuleDict(
            {str(place): AttentionPooling(dim) for place, how in enumerate(pooling) if how == "attention"}
        )
        self.dropout = Dropout(dropout)
        self.history, self.interaction, self.head = history, interaction, head

    def forward(self, impressions: Impressions) -> Tensor:
        """[B, labels] logits; where the history has an auxiliary loss, [B, labels + 1] with each row's at the end."""
        vectors = [self._pool(place, feature) for place, feature in enumerate(impressions.features)]
        interest = None if self.history is None else self.history(impressions)
        if interest is not None:
            vectors.append(interest.vector)
        mixed = self.interaction(self.dropout(torch.stack(vectors, 1)), impressions.numbers)
        logits: Tensor = self.head(mixed)
        if interest is None or interest.loss is None:
            return logits
        return torch.cat([logits, interest.loss[:, None]], 1)

    def _pool(self, place: int, feature: Tensor | Jagged) -> Tensor:
        if isinstance(feature, Tensor):
            return feature
        how = self.pooling[place]
        if how == "attention":
            pooled: Tensor = self.attention[str(place)](feature)
            return pooled
        return (segment_mean if how == "mean" else segment_sum)(feature.values, feature.layout)
