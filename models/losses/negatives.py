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
    count = hidden.shape[0]
    per_target = negatives.unflatten(0, (count, -1)) if count else negatives.reshape(0, 0, hidden.shape[1])
    scores = torch.einsum("nd,nsd->ns", hidden, per_target)
    return scores.masked_fill(target_ids[:, None] == negative_ids.view(count, -1), float("-inf"))
