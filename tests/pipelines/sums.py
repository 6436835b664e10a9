"""Sums on one of several ranks, for :mod:`test_shared_memory`; run by itself, a rank that another one leaves alone."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import torch
from torch import Tensor

from saccade.pipelines.collective import Collective
from saccade.pipelines.shared_memory import CAPACITY, share_memory

DTYPES = (torch.float32, torch.float64, torch.int64, torch.bfloat16)
SIZES = (1, 7, CAPACITY // 4 + 3)
"""Elements; the last are more than a place has room for, of whichever type."""


def tensor(rank: int, size: int, dtype: torch.dtype) -> Tensor:
    """What a rank brings."""
    values = torch.randn(size, generator=torch.Generator().manual_seed(rank), dtype=torch.float64)
    return (100 * values).to(dtype)


def shares() -> bool:
    """Whether the ranks of this group share memory."""
    return share_memory() is not None


def combined() -> list[Tensor]:
    """Sum and maximum of each type and size, one after the other."""
    collective = Collective()
    found = []
    for size in SIZES:
        for dtype in DTYPES:
            mine = tensor(collective.rank, size, dtype)
            found += [collective.sum(mine.clone()), collective.max(mine.clone())]
    return found


def of_other_layouts() -> tuple[Tensor, Tensor, Tensor]:
    """Sums of a column, of a scalar and of nothing."""
    collective = Collective()
    matrix = torch.zeros(4, 3)
    matrix[:, 1] = collective.rank + torch.arange(4.0)
    collective.sum(matrix[:, 1])
    return matrix, collective.sum(torch.tensor(2.5)), collective.sum(torch.zeros(0, 3))


def gathered() -> list[tuple[Tensor, list[int]]]:
    """Rows of all ranks: more on later ones, more than a place has room for, and none."""
    collective = Collective()
    return [collective.gather_rows(rows_of(collective.rank, each, dtype)) for each in EACH for dtype in DTYPES]


EACH = (0, 2, CAPACITY // 8)


def rows_of(rank: int, each: int, dtype: torch.dtype) -> Tensor:
    """[rank * each, 3] of a rank."""
    return tensor(rank, 3 * each * rank, dtype).view(-1, 3)


def many(rounds: int) -> Tensor:
    """[rounds] sums, of which any two follow each other as fast as they can."""
    collective = Collective()
    return torch.stack([collective.sum(torch.tensor(rank_of(collective.rank, n))) for n in range(rounds)])


def rank_of(rank: int, number: int) -> int:
    """Another number for each rank and round."""
    return 31 * rank + number


def main() -> None:
    """``sums.py FOLDER RANK``: rank 1 is killed before its second sum."""
    folder, rank = Path(sys.argv[1]), int(sys.argv[2])
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    Collective().sum(torch.ones(1))
    if rank == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    try:
        Collective().sum(torch.ones(1))
    except RuntimeError as error:
        print(error, flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
