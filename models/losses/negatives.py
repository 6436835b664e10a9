"""Scores of targets against negatives: shared by a micro-batch, or each target's own."""

from __future__ import annotations

import torch
from torch import Tensor

from saccade.models.products import linear

SMALL_PRODUCT = 400
"""Multiplications up to which torch's batched matrix product on a CPU is a plain loop: one negative of 64 elements
takes twelve times as long by it as elementwise."""


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
    scores = linear(hidden, negatives)
    with torch.no_grad():  # a loss gives -inf no gradient, so autograd needn't know
        if scores.device.type != "cpu":
            return scores.masked_fill_(target_ids[:, None] == negative_ids, float("-inf"))
        # Most targets are no negative: a third of the step's loss is saved where only the others are compared.
        targets = torch.isin(target_ids, negative_ids).nonzero().squeeze(1)
        which, negative = (target_ids[targets, None] == negative_ids).nonzero().unbind(1)
        scores[targets[which], negative] = float("-inf")
    return scores


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
    own = negatives.view(count, each, dim)
    few = each * dim < SMALL_PRODUCT
    scores = (hidden[:, None] * own).sum(-1) if few else torch.einsum("nd,nsd->ns", hidden, own)
    return scores.masked_fill(target_ids[:, None] == negative_ids.view(count, each), float("-inf"))
