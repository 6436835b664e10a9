"""DIN: each event of a history counts as much as it matters to the target."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from saccade.models.jagged import Jagged
from saccade.models.recommendation.impressions import Impressions, Interest, seen
from saccade.models.recommendation.mlp import MLP, Activation
from saccade.models.segments import segment_softmax, segment_sum


class DIN(nn.Module):
    """Σ a(q, k_j) · k_j ("Deep Interest Network for Click-Through Rate Prediction", Zhou et al. 2018, equation 3).

    a is a small network over [q, k, q - k, q ⊙ k]. Its weights don't sum to 1, unless ``normalizer`` is ``softmax``:
    the paper keeps how strong an interest is, which a softmax would take out.
    """

    def __init__(
        self,
        dim: int,
        layers: Sequence[int],
        activation: Activation = "dice",
        normalizer: Literal["none", "softmax"] = "none",
    ) -> None:
        """Make the activation unit.

        Args:
            dim: features of an event.
            layers: widths of the unit's hidden layers.
            activation: of these.
            normalizer: what becomes of the unit's outputs over a history.
        """
        super().__init__()
        self.softmax = normalizer == "softmax"
        self.unit = MLP(4 * dim, layers, 0.0, activation)
        # A softmax takes a bias out again, and adaptive optimizers would make steps of its rounding noise.
        self.score = nn.Linear(self.unit.width, 1, bias=not self.softmax)

    def forward(self, impressions: Impressions) -> Interest:
        """[B, D] targets and [T, D] events -> [B, D]; zeros for an empty history."""
        target, history = seen(impressions)
        weighted = self.weights(target, history)[:, None] * history.values
        return Interest(segment_sum(weighted, history.layout))

    def weights(self, target: Tensor, history: Jagged) -> Tensor:
        """[T]: what each event counts for."""
        query, key = target[history.layout.example], history.values
        score = self.score(self.unit(torch.cat([query, key, query - key, query * key], 1))).squeeze(1)
        return segment_softmax(score, history.layout) if self.softmax else score
