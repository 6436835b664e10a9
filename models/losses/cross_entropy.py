"""Cross-entropy over classes."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def cross_entropy(logits: Tensor, targets: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """Σ -log softmax(logits)[target], the target's probability partly spread over all classes.

    (Label smoothing: "Rethinking the Inception Architecture for Computer Vision", Szegedy et al. 2016, section 7.)

    Args:
        logits: [N, C].
        targets: [N] int64 in 0 .. C - 1.
        label_smoothing: the share of the probability that is spread, 0 .. 1.

    Returns:
        The scalar sum over N, in float32.
    """
    return functional.cross_entropy(logits.float(), targets, reduction="sum", label_smoothing=label_smoothing)
