"""All-to-alls on one of several ranks, for :mod:`test_shared_group`."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor

from saccade.pipelines.shared_memory import CAPACITY
from saccade.plugins.torchrec.shared_group import exchange_group

CPU = torch.device("cpu")
ROWS = {"few": 3, "none": 0, "many": CAPACITY // 64}
"""About so many rows go from a rank to another; the last ones take several places."""


def counts(sender: int, receiver: int, about: int) -> int:
    """How many rows go from one to the other: nothing from rank 1 to 0."""
    return 0 if (sender, receiver) == (1, 0) else about * (1 + sender + receiver)


def rows(sender: int, receiver: int, about: int) -> Tensor:
    """[n, 5] of a pair of ranks."""
    generator = torch.Generator().manual_seed(10 * sender + receiver)
    return torch.randn(counts(sender, receiver, about), 5, generator=generator)


def exchanged() -> tuple[str, dict[str, Tensor], Tensor]:
    """The group's backend, what a rank got of rows, and of one number for each rank."""
    group = exchange_group(CPU)
    rank, ranks = dist.get_rank(), range(dist.get_world_size())
    found = {}
    for name, about in ROWS.items():
        sent = torch.cat([rows(rank, other, about) for other in ranks])
        into, outof = ([counts(*pair, about) for pair in pairs] for pairs in _pairs(rank, ranks))
        output = torch.empty(sum(into), 5)
        work = dist.all_to_all_single(output, sent, into, outof, group=group, async_op=True)
        work.wait()
        found[name] = output
    numbers = torch.empty(len(ranks), dtype=torch.int64)
    dist.all_to_all_single(numbers, torch.tensor([10 * rank + other for other in ranks]), group=group)
    return dist.get_backend(group), found, numbers


def _pairs(rank: int, ranks: range) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    return [(other, rank) for other in ranks], [(rank, other) for other in ranks]
