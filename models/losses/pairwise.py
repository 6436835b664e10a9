"""Losses over pairs of a target and a negative."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import softplus


def bpr(positive: Tensor, negative: Tensor) -> Tensor:
    """Σ mean -log σ(p - n) ("BPR: Bayesian Personalized Ranking from Implicit Feedback", Rendle et al. 2009).

    Args:
        positive: [N] the targets' scores.
        negative: [N, S] the negatives'; -inf leaves one out.

    Returns:
        The scalar sum over N, in float32.
    """
    return softplus(negative.float() - positive.float()[:, None]).sum() / max(negative.shape[1], 1)
