"""Softmax over the target and sampled negatives."""

from __future__ import annotations

import torch
from torch import Tensor


def sampled_softmax(
    positive: Tensor, negative: Tensor, temperature: float = 1.0, label_smoothing: float = 0.0
) -> Tensor:
    """Σ -log(exp(p) / (exp(p) + Σ exp(n))) ("On Using Very Large Target Vocabulary …", Jean et al. 2015, section 3).

    With uniform negatives the correction for the sampling probability is one constant and cancels. Over the targets of
    a batch as negatives this is InfoNCE ("Representation Learning with Contrastive Predictive Coding", van den Oord et
    al. 2018, section 2.3).

    Args:
        positive: [N] the targets' scores.
        negative: [N, S] the negatives'; -inf leaves one out.
        temperature: the scores are divided by it.
        label_smoothing: the share of the target's probability that is spread over it and its negatives alike.

    Returns:
        The scalar sum over N, in float32.
    """
    scores = torch.cat((positive[:, None], negative), dim=1).float() / temperature
    lost = scores.logsumexp(1) - scores[:, 0]
    if label_smoothing:
        there = scores > float("-inf")
        mean = scores.masked_fill(~there, 0.0).sum(1) / there.sum(1)
        lost = lost + label_smoothing * (scores[:, 0] - mean)
    return lost.sum()
