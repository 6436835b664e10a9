"""The mean of a history: the baseline that attention has to beat."""

from __future__ import annotations

from torch import nn

from saccade.models.recommendation.impressions import Impressions, Interest, seen
from saccade.models.segments import segment_mean


class MeanPooling(nn.Module):
    """The mean of the events, whatever the target; zeros for an empty history."""

    def forward(self, impressions: Impressions) -> Interest:
        """[T, D] -> [B, D]."""
        _, history = seen(impressions)
        return Interest(segment_mean(history.values, history.layout))
