"""What outputs are compared with: the rows of a table as they are, or what the network makes of each of them.

The latter is computed once for a pass over a split, like the index of a search: a block of rows after the other goes
through tables and network as any batch does, so it works for every engine, ZeRO stage and sharding, also where no rank
has a whole row. Each rank keeps the vectors of an equal share of the rows, beside its part of the table. Blocks are the
same on any number of ranks, and so are their vectors, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from saccade.models.table import Table
from saccade.pipelines.batch import Batch
from saccade.pipelines.collective import Collective
from saccade.pipelines.shard import TableShard

BLOCK = 1024
"""Rows of a block: small enough that ranks share small catalogues, too."""


@runtime_checkable
class ComparesVectors(Protocol):
    """What a :class:`saccade.pipelines.task.Task` has besides where outputs aren't compared with rows themselves."""

    @property
    def tables(self) -> Sequence[Table]:
        """As every task's."""

    @property
    def compared_table(self) -> str:
        """The table whose rows the network turns into what outputs are compared with."""

    def of_rows(self, ids: Tensor) -> Batch:
        """A batch whose output in evaluation is [n, D], the vectors of the rows with these n ids, possibly none."""


def compared_shards(
    task: object,
    outputs: Callable[[Sequence[Batch]], Sequence[Tensor]],
    shards: Callable[[str], Sequence[TableShard]],
    collective: Collective,
    block: int = BLOCK,
) -> Callable[[str], Sequence[TableShard]]:
    """This rank's parts of what a task's outputs are compared with, by the table's name.

    Asking for a table for the first time is a collective where the network has to make its vectors; they aren't made
    again, so whoever changes the weights must ask for new parts.

    Args:
        task: whose outputs they are.
        outputs: of batches in evaluation, a collective.
        shards: the parts of a table that this rank holds.
        collective: all ranks.
        block: rows that go through the network together.
    """
    if not isinstance(task, ComparesVectors):
        return shards
    made: dict[str, Sequence[TableShard]] = {}

    def compared(table: str) -> Sequence[TableShard]:
        if table != task.compared_table:
            return shards(table)
        if table not in made:
            made[table] = _vectors(task, outputs, collective, block)
        return made[table]

    return compared


def _vectors(
    task: ComparesVectors,
    outputs: Callable[[Sequence[Batch]], Sequence[Tensor]],
    collective: Collective,
    block: int,
) -> list[TableShard]:
    (rows,) = (table.rows for table in task.tables if table.name == task.compared_table)
    each = -(-rows // (block * collective.world_size)) * block
    begin, end = (min(rank * each, rows) for rank in (collective.rank, collective.rank + 1))
    found: Tensor | None = None
    for first in range(begin, begin + each, block):  # equally often on every rank, if need be without rows
        ids = torch.arange(min(first, end), min(first + block, end))
        (vectors,) = outputs([task.of_rows(ids)])
        if found is None:
            found = vectors.new_empty(end - begin, vectors.shape[1], dtype=torch.float32)
        found[first - begin : first - begin + len(ids)] = vectors
    assert found is not None
    return [TableShard(task.compared_table, (begin, end), (0, found.shape[1]), found, {})] if len(found) else []
