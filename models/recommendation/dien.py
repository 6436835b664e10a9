"""DIEN: interests that evolve towards the target."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from saccade.models.jagged import Jagged
from saccade.models.products import Linear
from saccade.models.recommendation.gru import GRU
from saccade.models.recommendation.impressions import Contrast, Impressions, Interest, seen
from saccade.models.segments import segment_mean, segment_softmax


class DIEN(nn.Module):
    """A GRU finds interests, and one with an attentional update gate follows those that matter to the target.

    ("Deep Interest Evolution Network for Click-Through Rate Prediction", Zhou et al. 2019, sections 4.2 and 4.3.) The
    interest after an event should tell the next event from one that didn't happen: the auxiliary loss, here the mean
    over a row's events where the paper has their sum, so that long histories don't outweigh the label.
    """

    def __init__(self, dim: int) -> None:
        """``dim`` features of an event, of an interest and of the outcome."""
        super().__init__()
        self.extractor = GRU(dim, dim)
        self.match = Linear(dim, dim, bias=False)
        self.evolution = GRU(dim, dim)

    def forward(self, impressions: Impressions) -> Interest:
        """[B, D] targets and [T, D] events -> [B, D]; zeros for an empty history."""
        target, history = seen(impressions)
        interests = history.with_values(self.extractor(history))
        attention = self.attention(target, interests)
        evolved = self.evolution(interests, attention)
        # An empty history's last token is another row's, or none: a row of zeros stands there for it.
        lengths = history.layout.offsets.diff()
        last = history.layout.last.where(lengths > 0, history.layout.total)
        vector = torch.cat([evolved, evolved.new_zeros(1, evolved.shape[1])])[last]
        contrast = impressions.contrast
        return Interest(vector, None if contrast is None else self.auxiliary(interests, contrast))

    def attention(self, target: Tensor, interests: Jagged) -> Tensor:
        """[T]: softmax over each history of hᵀ W e, equation 5."""
        score = (interests.values * self.match(target)[interests.layout.example]).sum(1)
        return segment_softmax(score, interests.layout)

    @staticmethod
    def auxiliary(interests: Jagged, contrast: Contrast) -> Tensor:
        """[B]: the mean over a row's events but the first of -log σ(h · e) - log(1 - σ(h · ê)), equation 3.

        h is the interest before the event e, and ê is another item.
        """
        layout = interests.layout
        before = torch.arange(layout.total, device=layout.device) - 1
        follows = layout.position > 0
        hidden = interests.values[before.clamp(min=0)]
        happened, others = (hidden * contrast.happened).sum(1), (hidden * contrast.others).sum(1)
        loss = (softplus(-happened) + softplus(others)).where(follows, 0.0)
        # The mean counts the first event too, which has no loss.
        lengths = layout.offsets.diff()
        return segment_mean(loss, layout) * (lengths / (lengths - 1).clamp(min=1))
