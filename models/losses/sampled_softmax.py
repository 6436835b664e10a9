"""Softmax over the target and sampled negatives."""

from __future__ import annotations

import torch
from torch import Tensor


def sampled_softmax(positive: Tensor, negative: Tensor, temperature: float = 1.0) -> Tensor:
    """Σ -log(exp(p) / (exp(p) + Σ exp(n))) ("On Using Very Large Target Vocabulary …", Jean et al. 2015, section 3).

    With uniform negatives the correction for the sampling probability is one constant and cancels.

    Args:
        positive: [N] the targets' scores.
        negative: [N, S] the negatives'; -inf leaves one out.
        temperature: the scores are divided by it.

    Returns:
        The scalar sum over N, in float32.
    """
    scores = torch.cat((positive[:, None], negative), dim=1).float() / temperature
    return (scores.logsumexp(1) - scores[:, 0]).sum()
