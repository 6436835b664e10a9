"""Scores of targets against negatives: shared by a micro-batch, or each target's own."""

from __future__ import annotations

import torch
from torch import Tensor


def shared_negatives(hidden: Tensor, negatives: Tensor, target_ids: Tensor, negative_ids: Tensor) -> Tensor:
    """Every target against the same negatives; a negative that is the target itself scores -inf.

    Args:
        hidden: [N, D].
        negatives: [S, D] embeddings.
        target_ids: [N] int64.
        negative_ids: [S] int64.

    Returns:
        [N, S].
    """
    scores = hidden @ negatives.T
    return scores.masked_fill(target_ids[:, None] == negative_ids, float("-inf"))


def own_negatives(hidden: Tensor, negatives: Tensor, target_ids: Tensor, negative_ids: Tensor) -> Tensor:
    """Each target against its own S negatives.

    Args:
        hidden: [N, D].
        negatives: [N S, D] embeddings, a target's next to each other.
        target_ids: [N] int64.
        negative_ids: [N S] int64.

    Returns:
        [N, S].
    """
    count, dim = hidden.shape
    each = negatives.shape[0] // count if count else 0  # no target, no negatives: an empty micro-batch
    scores = torch.einsum("nd,nsd->ns", hidden, negatives.view(count, each, dim))
    return scores.masked_fill(target_ids[:, None] == negative_ids.view(count, each), float("-inf"))
