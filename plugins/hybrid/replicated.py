"""Tables that every rank holds whole: no all-to-all, but, on several ranks, one all-reduce as large as the tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from saccade.models.table import Table
from saccade.pipelines.checkpoint.reader import CheckpointReader
from saccade.pipelines.collective import Collective
from saccade.pipelines.engines.tables import LocalTables
from saccade.pipelines.optimizers import TableOptimizer
from saccade.pipelines.scored_table import RowGradients, gradients_by_row
from saccade.pipelines.shard import TableShard


class ReplicatedTables:
    """For small tables. All ranks make the same step from the same summed gradient, so they stay equal to the bit.

    Args:
        tables: of any dims.
        optimizers: for each table's name.
        seed: of the initial values.
        device: where they live.
        collective: all ranks.
    """

    def __init__(
        self,
        tables: Sequence[Table],
        optimizers: Mapping[str, TableOptimizer],
        *,
        seed: int,
        device: torch.device,
        collective: Collective,
    ) -> None:
        self.whole, self.collective = LocalTables(tables, optimizers, seed, device), collective
        self._ids: Mapping[str, Tensor] = {}

    def lookup(self, ids: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Feature -> [n, dim] for feature -> [n] int64 ids."""
        self._ids = ids
        whole = self.whole
        return {
            feature: whole.weights[t.name].index_select(0, ids[feature]) for t in whole.tables for feature in t.features
        }

    def step(
        self, gradients: Mapping[str, Tensor], scored: Sequence[RowGradients], *, factor: float, step: int
    ) -> None:
        """Sum the gradients over all ranks, and step every table's optimizer once. A collective.

        Args:
            gradients: feature -> [n, dim].
            scored: gradients of this rank's share of the rows of a table, here or elsewhere.
            factor: of the schedule, on every table's learning rate.
            step: how many steps the tables have taken, this one included.
        """
        for table in self.whole.tables:
            ids = torch.cat([self._ids[feature] for feature in table.features])
            found = torch.cat([gradients[feature] for feature in table.features])
            share = next((share for share in scored if share.shard.table == table.name), None)
            if self.collective.world_size > 1:
                parts = [self._over_ranks(table, ids, found, share)]
            else:
                parts = gradients_by_row(ids, found, share)
            weight, state = self.whole.weights[table.name], self.whole.states[table.name]
            for rows, g in parts:
                self.whole.optimizers[table.name].update(weight, state, rows, g, factor=factor, step=step)
        self.forget()

    def _over_ranks(
        self, table: Table, ids: Tensor, found: Tensor, share: RowGradients | None
    ) -> tuple[Tensor, Tensor]:
        """The rows [r] that some rank has looked up or scored, and their gradients [r, dim] summed over all ranks."""
        # One sum of both: the gradients of all rows, and behind them a mark for each row that has any.
        both = found.new_zeros(table.rows * (table.dim + 1))
        total, marks = both[: table.rows * table.dim].view(table.rows, table.dim), both[table.rows * table.dim :]
        total.index_add_(0, ids, found)
        marks.index_fill_(0, ids, 1.0)
        if share is not None:
            own = slice(share.shard.rows[0] + share.first, share.shard.rows[1])
            total[own] += share.values[share.first :]
            marks[own] = 1.0
        self.collective.sum(both)
        rows = marks.nonzero().squeeze(1)
        return rows, total.index_select(0, rows)

    def forget(self) -> None:
        """Drop the latest look-up."""
        self._ids = {}

    def shards(self) -> list[TableShard]:
        """This rank's share of the rows, to be read: all ranks' shares cover each table once."""
        rank, world_size = self.collective.rank, self.collective.world_size
        found = []
        for shard in self.whole.shards():
            rows = shard.rows[1]
            first, last = rows * rank // world_size, rows * (rank + 1) // world_size
            if first < last:
                state = {name: values[first:last] for name, values in shard.optimizer.items()}
                found.append(TableShard(shard.table, (first, last), shard.columns, shard.weight[first:last], state))
        return found

    def load(self, checkpoint: CheckpointReader) -> None:
        """Take whole tables from a checkpoint that fits."""
        self.whole.load(checkpoint)
