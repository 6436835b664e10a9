"""Cutting a window of rows into micro-batches by a token budget."""

from __future__ import annotations

import torch
from torch import Tensor


def cut(lengths: Tensor, tokens: int, rng: torch.Generator | None) -> list[Tensor]:
    """Micro-batches of rows of similar length, each within the token budget (a longer row makes one of its own).

    With a generator, rows of equal length fall together at random and the micro-batches come in random order; without
    one (evaluation) the cut depends on the lengths alone.

    Args:
        lengths: [N] int64.
        tokens: the budget: the sum of a micro-batch's lengths.
        rng: of the shuffle.

    Returns:
        Index tensors into the window that partition it.
    """
    count = lengths.numel()
    if count == 0:
        return []
    order = torch.randperm(count, generator=rng) if rng else torch.arange(count)
    order = order[lengths[order].argsort(stable=True)]
    batches, begin, used = [], 0, 0
    for place, length in enumerate(lengths[order].tolist()):
        if used + length > tokens and place > begin:
            batches.append(order[begin:place])
            begin, used = place, 0
        used += length
    batches.append(order[begin:])
    if rng:
        batches = [batches[i] for i in torch.randperm(len(batches), generator=rng).tolist()]
    return batches
