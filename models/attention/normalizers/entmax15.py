"""Entmax with alpha 1.5: between softmax and sparsemax."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from saccade.models.attention.normalizers.normalizer import Normalizer
from saccade.models.attention.normalizers.threshold import above_threshold
from saccade.models.registry import register


@register("normalizer", "entmax15")
class Entmax15(Normalizer):
    """max(s / 2 - τ, 0)², with τ such that they sum to 1.

    It maximises p · s plus the Tsallis entropy of alpha 1.5, half way from softmax (alpha 1) to sparsemax (alpha 2). A
    key whose score is 2 or more below the best has a weight of exactly zero, and weights reach zero smoothly ("Sparse
    Sequence-to-Sequence Models", Peters, Niculae & Martins 2019, section 3).
    """

    def weigh(self, scores: Tensor) -> Tensor:
        """See Normalizer."""
        weights: Tensor = _Entmax15.apply(scores)  # type: ignore[no-untyped-call]  # torch's
        return weights


class _Entmax15(torch.autograd.Function):
    """Entmax with its gradient: sparsemax's, with the roots of the weights in place of the support's ones."""

    @staticmethod
    def forward(ctx: Any, scores: Tensor) -> Tensor:
        weights = above_threshold(scores / 2, power=2).square_()
        ctx.save_for_backward(weights)
        return weights

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        root = ctx.saved_tensors[0].sqrt()
        kept = gradient * root
        mean = kept.sum(-1, keepdim=True) / root.sum(-1, keepdim=True)
        result: Tensor = kept.sub_(root.mul_(mean))
        return result
