"""Scores of queries against a sharded table: a block at a time, of this rank's rows, and nobody gathers the table.

A score is the dot product summed in float64 and then rounded to float32. So it is the same, but for one case in some
ten million, in whatever block, shard, rank or part of the columns it is computed: equal rows tie, and a ranking doesn't
depend on the number of workers. Matrix products in float32 round as their shapes have it. On a core of a CPU a score
of width 64 takes 2.4 ns in place of 1.4.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from saccade.models.jagged import Jagged
from saccade.models.products import write_product
from saccade.pipelines.collective import Collective
from saccade.pipelines.shard import TableShard

MOST_ROWS = 1 << 20
"""Rows of a block at most: counts of them are exact in float32, and its weights fit beside the table."""


class TableScores:
    """The scores of all ranks' queries against the rows that this rank holds.

    Where a rank holds only some columns of its rows, a score is a sum over ranks (``partial``): then every rank gets
    the blocks of the whole table, and each block is a collective.
    """

    def __init__(self, shards: Sequence[TableShard], rows: int, collective: Collective, device: torch.device) -> None:
        """``shards`` are this rank's, ``rows`` the whole table's. A collective."""
        self.shards, self.rows, self.collective = shards, rows, collective
        found = torch.tensor(int(any(shard.columns[0] > 0 for shard in shards)), device=device)
        self.partial = bool(collective.sum(found))
        # A CPU works on what stays in its cache, a GPU on what keeps it busy.
        self.queries, self._cells = (128, 1 << 18) if device.type == "cpu" else (2048, 1 << 26)
        # Fresh memory for every block would cost a CPU more than what is computed in it.
        self._sums = torch.empty(0, dtype=torch.float64, device=device)
        self._scores = torch.empty(0, device=device)

    def chunks(self, queries: int) -> list[tuple[int, int]]:
        """So many queries, in parts whose blocks are worth computing at once."""
        return [(first, min(first + self.queries, queries)) for first in range(0, queries, self.queries)]

    def blocks(self, queries: Tensor) -> Iterator[tuple[int, Tensor]]:
        """(first row, [Q, n] float32 scores) of one chunk's [Q, D] queries.

        The scores may be written in; the next block takes their place.
        """
        queries = queries.double()
        step = min(max(self._cells // max(len(queries), 1), 1), MOST_ROWS, self.rows)
        if self._sums.numel() < len(queries) * step:
            self._sums = self._sums.new_empty(len(queries) * step)
            self._scores = self._scores.new_empty(len(queries) * step)
        if self.partial:
            for first in range(0, self.rows, step):
                sums = self._sums[: len(queries) * min(step, self.rows - first)].view(len(queries), -1).zero_()
                for shard in self.shards:
                    begin, end = max(shard.rows[0], first), min(shard.rows[1], first + sums.shape[1])
                    if begin < end:
                        weight = shard.weight[begin - shard.rows[0] : end - shard.rows[0]].double()
                        sums[:, begin - first : end - first] += queries[:, slice(*shard.columns)] @ weight.T
                yield first, self._rounded(self.collective.sum(sums))
            return
        for shard in self.shards:
            for first, weight in enumerate(shard.weight.split(step)):
                sums = self._sums[: len(queries) * len(weight)].view(len(queries), -1)
                yield shard.rows[0] + first * step, self._rounded(write_product(sums, queries, weight.double().T))

    def _rounded(self, sums: Tensor) -> Tensor:
        return self._scores[: sums.numel()].view_as(sums).copy_(sums)

    def of_pairs(self, queries: Tensor, items: Tensor) -> Tensor:
        """[P] float32 scores of [P, D] queries with an item each. A collective; all ranks bring the same pairs."""
        scores = torch.zeros(len(items), dtype=torch.float64, device=queries.device)
        for shard in self.shards:
            here = within(items, shard.rows[0], shard.weight.shape[0])
            weight = shard.weight[items[here] - shard.rows[0]].double()
            scores[here] += (queries[here, slice(*shard.columns)].double() * weight).sum(1)
        return self.collective.sum(scores).float()


def within(items: Tensor, first: int, rows: int) -> Tensor:
    """The indices of the items among the ``rows`` from row ``first`` on."""
    return ((items >= first) & (items < first + rows)).nonzero().squeeze(1)


def distinct(examples: Sequence[Jagged], rows: int, padding_rows: int) -> tuple[Tensor, Tensor]:
    """(example, item) of all items from ``padding_rows`` on, each once, in rising order.

    Args:
        examples: of the same number of examples; an example's items come together.
        rows: of the table.
        padding_rows: ids below this are left out.
    """
    keys = torch.cat([part.layout.example * rows + part.values for part in examples])
    # On a CPU NumPy sorts integers ten times as fast as torch.
    keys = torch.from_numpy(np.sort(keys.numpy())) if keys.device.type == "cpu" else keys.sort().values
    keys = keys.unique_consecutive()
    owner = keys // rows
    items = keys - owner * rows
    real = items >= padding_rows
    return owner[real], items[real]


def edges(owner: Tensor, chunks: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """For each chunk of queries the range of a rising [N] ``owner`` that is theirs."""
    bounds = torch.tensor([*(first for first, _ in chunks), chunks[-1][1] if chunks else 0], device=owner.device)
    places = torch.searchsorted(owner, bounds).tolist()
    return list(pairwise(places))
