"""All weight on the best key."""

from __future__ import annotations

import torch
from torch import Tensor

from saccade.models.attention.normalizers.normalizer import Normalizer
from saccade.models.registry import register


@register("normalizer", "hard")
class Hard(Normalizer):
    """1 for the key with the highest score (the first of equals), 0 for the others: dot attention.

    An argmax has no gradient. The straight-through estimate takes the softmax's in its place ("Estimating or
    Propagating Gradients Through Stochastic Neurons for Conditional Computation", Bengio et al. 2013).

    Args:
        straight_through: whether scores get the gradient of a softmax; otherwise theirs is zero.
    """

    def __init__(self, straight_through: bool = True) -> None:
        super().__init__()
        self.straight_through = straight_through

    def weigh(self, scores: Tensor) -> Tensor:
        """See Normalizer."""
        if self.straight_through:
            return straight_through(scores, scores.softmax(-1))
        return one_hot(scores) + 0.0 * scores  # a gradient of zero, rather than none


def one_hot(scores: Tensor) -> Tensor:
    """1 at the largest of the last dimension (the first of equals), 0 elsewhere; no gradient."""
    hot = torch.zeros_like(scores, requires_grad=False)
    return hot.scatter_(-1, scores.argmax(-1, keepdim=True), 1.0) if scores.shape[-1] else hot


def straight_through(scores: Tensor, weights: Tensor) -> Tensor:
    """Exactly the one-hot of ``scores`` (weights round close ones to a tie), with the gradient of ``weights``."""
    return one_hot(scores) + (weights - weights.detach())
