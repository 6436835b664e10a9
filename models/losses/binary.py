"""Binary cross-entropy against sampled negatives, plain and calibrated."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import softplus


def bce(positive: Tensor, negative: Tensor) -> Tensor:
    """Σ -log σ(p) - mean log(1 - σ(n)), SASRec's loss (Kang and McAuley 2018, section III-E).

    Args:
        positive: [N] the targets' scores.
        negative: [N, S] the negatives'; -inf leaves one out.

    Returns:
        The scalar sum over N, in float32.
    """
    return softplus(-positive.float()).sum() + softplus(negative.float()).sum() / max(negative.shape[1], 1)


def gbce(positive: Tensor, negative: Tensor, items: int, calibration: float) -> Tensor:
    """Generalised BCE, which undoes the overconfidence that negative sampling causes.

    -β log σ(p) - Σ log(1 - σ(n)), β = α (t (1 - 1/α) + 1/α) = 1 - t (1 - α), α = S / (items - 1)
    ("gSASRec: Reducing Overconfidence in Sequential Recommendation Trained with Negative Sampling", Petrov and
    Macdonald 2023, section 5).

    Args:
        positive: [N] the targets' scores.
        negative: [N, S] the negatives'; -inf leaves one out.
        items: size of the catalogue.
        calibration: t in 0 (plain BCE) .. 1 (fully calibrated).

    Returns:
        The scalar sum over N, in float32.
    """
    beta = 1 - calibration * (1 - negative.shape[1] / (items - 1))
    return beta * softplus(-positive.float()).sum() + softplus(negative.float()).sum()
