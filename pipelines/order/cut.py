"""Cutting a window of rows into micro-batches by a token budget."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor


def cut(lengths: Tensor, tokens: int, rng: torch.Generator | None) -> list[Tensor]:
    """Micro-batches of rows of similar length, each within the token budget (a longer row makes one of its own).

    They are as few as rows in order of length allow, so no two neighbours would fit into one, and of nearly equal
    tokens: where the budget exceeds the average micro-batch by the longest row or more, none differs from that average
    by as much as the longest row.

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
    # Length and place in one number: NumPy sorts plain numbers ten times faster than torch sorts stably.
    bits = count.bit_length()
    keys = np.sort((lengths[order].numpy() << bits) + np.arange(count))
    order = order[torch.from_numpy(keys & (1 << bits) - 1)]
    # A row over the budget counts as a full micro-batch: nothing but rows without tokens can join it.
    before = np.concatenate([[0], np.minimum(keys >> bits, tokens).cumsum()]).tolist()
    batches = list(order.split([end - begin for begin, end in pairwise(_edges(before, tokens))]))
    if rng:
        batches = [batches[i] for i in torch.randperm(len(batches), generator=rng).tolist()]
    return batches


def _edges(before: Sequence[int], tokens: int) -> list[int]:
    """Where to cut; ``before[i]`` is the number of tokens before row i, and no row has more than ``tokens``."""
    rows, total = len(before) - 1, before[-1]
    # Micro-batches filled from the last row backwards: each begins at the first row that leaves enough for the rest.
    earliest = [rows]
    while earliest[-1] > 0:
        earliest.append(bisect_left(before, before[earliest[-1]] - tokens))
    earliest.reverse()
    count = len(earliest) - 1
    edges = [0]
    for number in range(1, count):
        equal_shares = bisect_left(before, total * number / count)
        full = bisect_right(before, before[edges[-1]] + tokens) - 1
        edges.append(min(max(equal_shares, earliest[number]), full))
    return [*edges, rows]
