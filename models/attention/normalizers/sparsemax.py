"""Sparsemax: weights with exact zeros."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from saccade.models.attention.normalizers.normalizer import Normalizer
from saccade.models.attention.normalizers.threshold import above_threshold
from saccade.models.registry import register


@register("normalizer", "sparsemax")
class Sparsemax(Normalizer):
    """The point of the probability simplex nearest to the scores: max(s - τ, 0), with τ such that they sum to 1.

    A key whose score is 1 or more below the best has a weight of exactly zero ("From Softmax to Sparsemax", Martins &
    Astudillo 2016, section 2; the gradient is its section 2.5).
    """

    def weigh(self, scores: Tensor) -> Tensor:
        """See Normalizer."""
        weights: Tensor = _Sparsemax.apply(scores)  # type: ignore[no-untyped-call]  # torch's
        return weights


class _Sparsemax(torch.autograd.Function):
    """Sparsemax with its gradient: the incoming one, less its mean over the keys that have weight."""

    @staticmethod
    def forward(ctx: Any, scores: Tensor) -> Tensor:
        weights = above_threshold(scores, power=1)
        ctx.save_for_backward(weights)
        return weights

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        support = ctx.saved_tensors[0].sign()
        kept = gradient * support
        mean = kept.sum(-1, keepdim=True) / support.sum(-1, keepdim=True)
        result: Tensor = kept.sub_(support.mul_(mean))
        return result
