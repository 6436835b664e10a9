"""Whole embedding tables in one process, and the initial values that any engine gives them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import torch
from torch import Tensor

from saccade.models.table import Table
from saccade.pipelines.checkpoint.reader import CheckpointReader
from saccade.pipelines.checkpoint.restore import restore
from saccade.pipelines.optimizers import TableOptimizer
from saccade.pipelines.scored_table import RowGradients, gradients_by_row
from saccade.pipelines.seeds import generator
from saccade.pipelines.shard import TableShard

BLOCK = 1 << 16
"""Rows initialised by one seed: a rank draws only the blocks that it holds."""


def initial_rows(table: Table, seed: int, first: int, last: int) -> Tensor:
    """[last - first, dim] initial values of rows [first, last), the same however the table is cut."""
    values = torch.empty(last - first, table.dim)
    initialize(values, table, seed, first)
    return values


def initialize(weight: Tensor, table: Table, seed: int, first: int = 0, columns: slice = slice(None)) -> None:
    """Set a part of a table to its initial values, drawing a block of rows at a time.

    Args:
        weight: [rows, columns], the table's from row ``first`` on.
        table: it.
        seed: the run's.
        first: row of the table.
        columns: of the table.
    """
    last = first + len(weight)
    for block in range(first // BLOCK, -(-last // BLOCK)):
        begin, end = block * BLOCK, min((block + 1) * BLOCK, table.rows)
        values = torch.randn(end - begin, table.dim, generator=generator(seed, "table", table.name, block))
        own = values[max(first - begin, 0) : last - begin, columns] * table.standard_deviation
        top = max(begin - first, 0)
        weight[top : top + len(own)] = own


class LocalTables:
    """The tables of a model, whole, with their optimizers."""

    def __init__(
        self, tables: Sequence[Table], optimizers: Mapping[str, TableOptimizer], seed: int, device: torch.device
    ) -> None:
        """``optimizers`` has one for each table's name."""
        self.tables, self.optimizers, self.seed = list(tables), dict(optimizers), seed
        self.weights = {t.name: torch.empty(t.rows, t.dim, device=device) for t in tables}
        for table in tables:
            initialize(self.weights[table.name], table, seed)
        self.states = {t.name: self.optimizers[t.name].state(t.rows, t.dim, device) for t in tables}

    def lookup(self, lookups: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Feature -> [n, dim] leaves that collect gradients."""
        looked_up = {}
        for table in self.tables:
            for feature in table.features:
                looked_up[feature] = self.weights[table.name].index_select(0, lookups[feature]).requires_grad_()
        return looked_up

    def step(
        self,
        lookups: Sequence[Mapping[str, Tensor]],
        leaves: Sequence[Mapping[str, Tensor]],
        scored: Sequence[RowGradients],
        *,
        coefficient: float,
        factor: float,
        step: int,
    ) -> None:
        """One optimizer step from the gradients of several look-ups, each multiplied with the coefficient.

        Args:
            lookups: feature -> [n] int64 ids, of each look-up.
            leaves: what :meth:`lookup` gave for each.
            scored: gradients of all rows of a table besides, already multiplied.
            coefficient: on the others.
            factor: of the schedule, on every table's learning rate.
            step: how many steps the tables have taken, this one included.
        """
        whole = {gradient.shard.table: gradient for gradient in scored}
        for table in self.tables:
            pairs = [
                (ids[feature], leaf[feature].grad)
                for ids, leaf in zip(lookups, leaves, strict=True)
                for feature in table.features
            ]
            found = [(ids, gradient) for ids, gradient in pairs if gradient is not None]
            if found:
                ids, gradients = torch.cat([i for i, _ in found]), torch.cat([g for _, g in found])
                weight, state = self.weights[table.name], self.states[table.name]
                for rows, g in gradients_by_row(ids, gradients.mul_(coefficient), whole.get(table.name)):
                    self.optimizers[table.name].update(weight, state, rows, g, factor=factor, step=step)

    def shards(self) -> list[TableShard]:
        """Each table as one shard."""
        return [
            TableShard(t.name, (0, t.rows), (0, t.dim), self.weights[t.name], self.states[t.name]) for t in self.tables
        ]

    def load(self, checkpoint: CheckpointReader) -> None:
        """Take weights and optimizer state from a checkpoint that fits."""
        for table, shard in zip(self.tables, self.shards(), strict=True):
            restore(shard, checkpoint, partial(initial_rows, table, self.seed))
