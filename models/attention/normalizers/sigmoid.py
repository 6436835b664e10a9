"""Sigmoid attention: every key on its own."""

from __future__ import annotations

import math

from torch import Tensor

from saccade.models.attention.normalizers.normalizer import Normalizer
from saccade.models.registry import register


@register("normalizer", "sigmoid")
class Sigmoid(Normalizer):
    """1 / (1 + exp(-(s + bias))).

    Keys don't compete, and a row need not sum to 1. A bias of -log(n) makes the weights of n keys with scores about 0
    sum to about 1 ("Theory, Analysis, and Best Practices for Sigmoid Self-Attention", Ramapuram et al. 2024). n is
    ``max_length`` here, in every row: with a number of the configuration each weight is a function of its own pair,
    whoever shares the batch and however many keys there are as yet.

    Args:
        max_length: the longest example there can be.
        bias: added to every score; None for -log(max_length).
    """

    def __init__(self, max_length: int, bias: float | None = None) -> None:
        super().__init__()
        self.bias = -math.log(max_length) if bias is None else bias

    def weigh(self, scores: Tensor) -> Tensor:
        """See Normalizer."""
        return (scores + self.bias).sigmoid()
