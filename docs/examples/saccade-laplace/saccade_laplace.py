"""A score and a normalizer that Saccade doesn't have."""

from __future__ import annotations

import torch
from torch import Tensor

from saccade.models.attention.normalizers.normalizer import Normalizer
from saccade.models.attention.scores.score import Score
from saccade.models.registry import register


@register("score", "laplace")
class Laplace(Score):
    """-|q - k|₁ / D: the nearer, the better."""

    def forward(self, query: Tensor, key: Tensor, previous: Tensor | None = None) -> Tensor:
        """See Score: [N, H, Lq, D] and [N, H, Lk, D] -> [N, H, Lq, Lk]."""
        return -(query[..., :, None, :] - key[..., None, :, :]).abs().mean(-1)


@register("normalizer", "softmax_or_none")
class SoftmaxOrNone(Normalizer):
    """exp(s_j) / (exp(none) + Σ_k exp(s_k)): what is left of 1 is the weight of attending to nothing."""

    def __init__(self, none: float = 0.0) -> None:
        """``none`` is the score of attending to nothing."""
        super().__init__()
        self.none = none

    def weigh(self, scores: Tensor) -> Tensor:
        """See Normalizer."""
        nothing = scores.new_full((*scores.shape[:-1], 1), self.none)
        return torch.cat((scores, nothing), dim=-1).softmax(-1)[..., :-1]
