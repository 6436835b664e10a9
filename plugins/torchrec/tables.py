"""Embedding tables sharded by TorchRec; their optimizers step when they are told to, and at no other time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torchrec.distributed.sharding_plan import column_wise, construct_module_sharding_plan, row_wise, table_wise
from torchrec.distributed.types import ShardingEnv
from torchrec.modules.embedding_configs import EmbeddingConfig
from torchrec.sparse.jagged_tensor import KeyedJaggedTensor

from saccade.models.table import Table
from saccade.pipelines.checkpoint.reader import CheckpointReader
from saccade.pipelines.checkpoint.restore import restore
from saccade.pipelines.collective import Collective
from saccade.pipelines.engines.tables import initial_rows, initialize
from saccade.pipelines.optimizers import TableOptimizer
from saccade.pipelines.scored_table import RowGradients, gradients_by_row
from saccade.pipelines.shard import TableShard
from saccade.plugins.torchrec.kernel import Kernel, Sharder, kernels
from saccade.plugins.torchrec.plan import PREFIX, Placement, config, empty_collection
from saccade.plugins.torchrec.row_blocks import RowBlocks
from saccade.plugins.torchrec.shared_group import exchange_group


@dataclass(frozen=True, eq=False)
class _Part:
    """A shard, and where TorchRec's look-ups of it are found."""

    shard: TableShard
    state: dict[str, Tensor]
    kernel: Kernel
    index: int


class ShardedTables:
    """Tables of one width, each rank holding its parts.

    Args:
        tables: at least one, all of the same dim.
        optimizers, placements: for each table's name.
        seed: of the initial values, which do not depend on the cut.
        device: where the parts live.
        collective: all ranks.
    """

    def __init__(
        self,
        tables: Sequence[Table],
        optimizers: Mapping[str, TableOptimizer],
        placements: Mapping[str, Placement],
        *,
        seed: int,
        device: torch.device,
        collective: Collective,
    ) -> None:
        self.tables, self.optimizers, self.placements = list(tables), dict(optimizers), dict(placements)
        self.device, self.collective, self._dim = device, collective, tables[0].dim
        self._seed = seed
        self._blocks: dict[str, RowBlocks] = {}  # by feature
        known, cuts = {}, {}  # TorchRec's tables, and how it is to cut them
        for table in tables:
            placement = placements[table.name]
            if placement.cut == "table_row":
                blocks = RowBlocks(table, len(placement.ranks))
                self._blocks |= dict.fromkeys(table.features, blocks)
                for number, block in enumerate(blocks.blocks):
                    known[PREFIX + block.name] = (table, block, number * blocks.size)
                    cuts[PREFIX + block.name] = _cut(Placement("table", (placement.ranks[number],)))
            else:
                known[PREFIX + table.name] = (table, table, 0)
                cuts[PREFIX + table.name] = _cut(placement)
        collection = empty_collection([EmbeddingConfig(**config(block)) for _, block, _ in known.values()])
        sharder = Sharder()
        plan = construct_module_sharding_plan(
            collection,
            cuts,
            sharder=sharder,
            local_size=collective.world_size,
            world_size=collective.world_size,
            device_type=device.type,
        )
        env = ShardingEnv.from_process_group(exchange_group(device))
        self.collection = sharder.shard(collection, plan, env, device)
        self._keys = [feature for _, block, _ in known.values() for feature in block.features]
        self._parts = self._find_parts(known)
        self._looked_up: dict[str, Tensor] = {}

    def lookup(self, ids: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Look rows up on whichever ranks hold them: one all-to-all there and one back. A collective.

        Args:
            ids: feature -> [n] int64.

        Returns:
            Feature -> [n, dim], in the ids' order, without a graph.
        """
        split = {feature: blocks.split(feature, ids[feature]) for feature, blocks in self._blocks.items()}
        asked = {**ids, **{name: part for parts, _ in split.values() for name, part in parts.items()}}
        values = [asked[key] for key in self._keys]
        lengths = torch.tensor([len(v) for v in values], dtype=torch.int64, device=self.device)
        found = self.collection(KeyedJaggedTensor(keys=self._keys, values=torch.cat(values), lengths=lengths))
        rows = {key: jagged.values() for key, jagged in found.items()}
        for feature, blocks in self._blocks.items():
            rows[feature] = blocks.join(feature, rows, split[feature][1])
        self._looked_up = {feature: rows[feature] for table in self.tables for feature in table.features}
        return {feature: values.detach() for feature, values in self._looked_up.items()}

    def step(
        self, gradients: Mapping[str, Tensor], scored: Sequence[RowGradients], *, factor: float, step: int
    ) -> None:
        """Send gradients back to where the rows came from, and step every table's optimizer once. A collective.

        Args:
            gradients: feature -> [n, dim].
            scored: gradients of all rows of this rank's parts of a table, here or elsewhere.
            factor: of the schedule, on every table's learning rate.
            step: how many steps the tables have taken, this one included.
        """
        # TorchRec divides gradients by the number of ranks on their way.
        ranks, features = self.collective.world_size, list(self._looked_up)
        torch.autograd.backward([self._looked_up[f] for f in features], [gradients[f] * ranks for f in features])
        self.forget()
        whole = {(g.shard.table, g.shard.rows, g.shard.columns): g for g in scored}
        for part in self._parts:
            shard, looked_up = part.shard, part.kernel.looked_up[part.index]
            ids = torch.cat([ids for ids, _ in looked_up])
            g = torch.cat([torch.zeros_like(found) if found.grad is None else found.grad for _, found in looked_up])
            for rows, summed in gradients_by_row(ids, g, whole.get((shard.table, shard.rows, shard.columns))):
                self.optimizers[shard.table].update(
                    shard.weight, part.state, rows, summed, factor=factor, step=step, row_mean=self._row_mean
                )
        for kernel in kernels(self.collection):
            kernel.looked_up = []

    def _row_mean(self, squares: Tensor) -> Tensor:
        """The mean over whole rows; the ranks that hold a table's columns look up the same rows in the same order."""
        total = squares.sum(1)
        if squares.shape[1] < self._dim:
            self.collective.sum(total)
        return total / self._dim

    def forget(self) -> None:
        """Drop the latest look-up."""
        self._looked_up = {}

    def _find_parts(self, known: Mapping[str, tuple[Table, Table, int]]) -> list[_Part]:
        """This rank's parts, tables in their order on every rank, with their initial values."""
        parts = []
        for kernel in kernels(self.collection):
            for index, held in enumerate(kernel.config.embedding_tables):
                table, _, first = known[held.name]
                row, column = held.local_metadata.shard_offsets
                weight = kernel.weights[index]
                rows = (first + row, first + row + weight.shape[0])
                columns = (column, column + weight.shape[1])
                initialize(weight, table, self._seed, rows[0], slice(*columns))
                height, width = weight.shape
                state = self.optimizers[table.name].state(height, width, self.device)
                parts.append(_Part(TableShard(table.name, rows, columns, weight, state), state, kernel, index))
        order = {name: number for number, name in enumerate(known)}
        return sorted(parts, key=lambda part: order[part.kernel.config.embedding_tables[part.index].name])

    def shards(self) -> list[TableShard]:
        """The parts that this rank holds; live storage."""
        return [part.shard for part in self._parts if part.shard.weight.shape[0]]

    def load(self, checkpoint: CheckpointReader) -> None:
        """Take weights and optimizer state from a checkpoint that fits."""
        tables = {table.name: table for table in self.tables}
        for shard in self.shards():
            restore(shard, checkpoint, partial(initial_rows, tables[shard.table], self._seed))


def _cut(placement: Placement) -> object:
    if placement.cut == "row":
        return row_wise(compute_kernel="fused")
    if placement.cut == "column":
        return column_wise(ranks=list(placement.ranks), compute_kernel="fused")
    return table_wise(rank=placement.ranks[0], compute_kernel="fused")
