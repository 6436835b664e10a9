"""Embedding tables sharded by TorchRec, stepped exactly once an optimizer step.

TorchRec fuses a table's optimizer into its backward pass: every backward is a step. So all micro-batches of a step are
looked up at once (one all-to-all instead of one a micro-batch), their gradients are collected in detached leaves, and
one backward sends them to the tables.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torchrec.distributed.embedding import EmbeddingCollectionSharder
from torchrec.distributed.model_parallel import DistributedModelParallel
from torchrec.distributed.types import ShardingEnv
from torchrec.modules.embedding_configs import EmbeddingConfig
from torchrec.modules.embedding_modules import EmbeddingCollection
from torchrec.optim.apply_optimizer_in_backward import apply_optimizer_in_backward
from torchrec.optim.rowwise_adagrad import RowWiseAdagrad
from torchrec.sparse.jagged_tensor import KeyedJaggedTensor

from saccade.models.table import Table
from saccade.pipelines.collective import Collective
from saccade.pipelines.errors import UserError
from saccade.pipelines.optimizers import TableOptimizer
from saccade.pipelines.shard import TableShard
from saccade.pipelines.tables import initial_rows
from saccade.plugins.torchrec.plan import Sharding, make_plan

PREFIX = "table_"
"""TorchRec keeps tables in a ModuleDict, where names such as ``items`` would hide its methods."""

OPTIMIZERS = {"sgd": torch.optim.SGD, "adagrad": torch.optim.Adagrad, "rowwise_adagrad": RowWiseAdagrad}


class ShardedTables:
    """The tables of a model, each rank holding its part.

    Args:
        tables: at least one.
        optimizers: for each table's name.
        sharding: how tables are cut.
        seed: of the initial values, which do not depend on the cut.
        device: where the parts live.
        collective: all ranks.
        local_size: ranks on this node.

    Raises:
        UserError: if the sharding can't keep an optimizer's formula or the tables can't be cut so.
    """

    def __init__(
        self,
        tables: Sequence[Table],
        optimizers: Mapping[str, TableOptimizer],
        sharding: Sharding,
        *,
        seed: int,
        device: torch.device,
        collective: Collective,
        local_size: int,
    ) -> None:
        self.tables, self.optimizers, self.sharding = list(tables), dict(optimizers), sharding
        self.features = [feature for table in tables for feature in table.features]
        self.device, self.collective = device, collective
        self._check(sharding, collective.world_size)
        collection = EmbeddingCollection(
            tables=[
                EmbeddingConfig(
                    name=PREFIX + t.name, embedding_dim=t.dim, num_embeddings=t.rows, feature_names=list(t.features)
                )
                for t in tables
            ],
            device=torch.device("meta"),
        )
        for table in tables:
            settings = self.optimizers[table.name]
            arguments: dict[str, Any] = {"lr": settings.learning_rate}
            if settings.name != "sgd":
                arguments["eps"] = settings.eps
            weight = collection.embeddings[PREFIX + table.name].weight
            apply_optimizer_in_backward(OPTIMIZERS[settings.name], [weight], arguments)
        sharder = EmbeddingCollectionSharder()
        group = torch.distributed.group.WORLD
        assert group is not None
        plan = make_plan(
            collection,
            sharder,
            sharding,
            world_size=collective.world_size,
            local_size=local_size,
            device=device,
            group=group,
            whole_rows=[PREFIX + t.name for t in tables if self.optimizers[t.name].name == "rowwise_adagrad"],
        )
        self.parallel = DistributedModelParallel(
            collection,
            env=ShardingEnv.from_process_group(group),
            device=device,
            plan=plan,
            sharders=[sharder],
        )
        self._rates = [group["lr"] for group in self.parallel.fused_optimizer.param_groups]
        self._shards = self._find_shards()
        with torch.no_grad():
            for shard in self._shards:
                table = next(t for t in tables if t.name == shard.table)
                begin, end = shard.columns
                shard.weight.copy_(initial_rows(table, seed, *shard.rows)[:, begin:end])
        self._looked_up: list[Tensor] = []
        self._leaves: list[dict[str, Tensor]] = []

    def _check(self, sharding: Sharding, world_size: int) -> None:
        for table in self.tables:
            optimizer = self.optimizers[table.name].name
            if sharding == "column" and optimizer == "rowwise_adagrad" and world_size > 1:
                raise UserError(
                    f"engine.sharding=column cuts the rows of table {table.name!r}, and rowwise_adagrad keeps one sum "
                    "for a whole row: choose engine.sharding=row or the optimizer adagrad"
                )
            if sharding == "column" and (table.dim % world_size or table.dim // world_size % 4):
                raise UserError(
                    f"engine.sharding=column can't cut table {table.name!r} of dim {table.dim} into run.workers="
                    f"{world_size} parts: each part must be a multiple of 4 wide"
                )

    def lookup(self, batches: Sequence[Mapping[str, Tensor]]) -> list[dict[str, Tensor]]:
        """Look all micro-batches up in one all-to-all.

        Args:
            batches: for each micro-batch, feature -> [n] int64 ids.

        Returns:
            For each micro-batch, feature -> [n, dim] leaf that collects the gradient.
        """
        keyed = self._keyed(batches)
        found = self.parallel(keyed)
        found = found.wait() if hasattr(found, "wait") else found
        self._looked_up = [found[feature].values() for feature in self.features]
        training = torch.is_grad_enabled()
        self._leaves = [{} for _ in batches]
        for feature, values in zip(self.features, self._looked_up, strict=True):
            sizes = [len(lookups[feature]) for lookups in batches]
            for leaves, part in zip(self._leaves, values.detach().split(sizes), strict=True):
                leaves[feature] = part.requires_grad_(training)
        return self._leaves

    def _keyed(self, batches: Sequence[Mapping[str, Tensor]]) -> KeyedJaggedTensor:
        """One bag a feature and micro-batch."""
        ids = [lookups[feature] for feature in self.features for lookups in batches]
        lengths = torch.tensor([len(i) for i in ids], dtype=torch.int64, device=self.device)
        return KeyedJaggedTensor(keys=self.features, values=torch.cat(ids), lengths=lengths)

    def step(self) -> None:
        """Send the leaves' gradients back through the tables, whose optimizers step once.

        A leaf must hold the true gradient times the number of ranks, by which TorchRec divides.
        """
        gradients = []
        for feature in self.features:
            parts = [leaf[feature] for leaf in self._leaves]
            gradients.append(torch.cat([torch.zeros_like(p) if p.grad is None else p.grad for p in parts]))
        torch.autograd.backward(self._looked_up, gradients)
        self._looked_up, self._leaves = [], []

    def set_learning_rate(self, factor: float) -> None:
        """Set every table's rate to its own times the schedule's factor; FBGEMM takes it in with the next lookup."""
        optimizer = self.parallel.fused_optimizer
        for group, rate in zip(optimizer.param_groups, self._rates, strict=True):
            group["lr"] = rate * factor
        optimizer.step()

    def _find_shards(self) -> list[TableShard]:
        weights = self.parallel.state_dict()
        states = self.parallel.fused_optimizer.state_dict()["state"]
        shards = []
        for table in self.tables:
            key = f"embeddings.{PREFIX}{table.name}.weight"
            moments = states.get(key, {}).get(f"{PREFIX}{table.name}.momentum1")
            sums = (
                {tuple(s.metadata.shard_offsets): s.tensor for s in moments.local_shards()}
                if moments is not None
                else {}
            )
            for part in weights[key].local_shards():
                row, column = part.metadata.shard_offsets
                rows, columns = part.metadata.shard_sizes
                if rows == 0:
                    continue
                total = sums.get((row, column), sums.get((row,)))
                optimizer = {} if total is None or self.optimizers[table.name].name == "sgd" else {"sum": total}
                shards.append(
                    TableShard(table.name, (row, row + rows), (column, column + columns), part.tensor, optimizer)
                )
        return shards

    def shards(self) -> list[TableShard]:
        """The parts that this rank holds; live storage."""
        return self._shards

    def plan(self) -> list[dict[str, object]]:
        """A line for each part of each table on every rank, for the run's record. A collective."""
        mine = [
            {
                "table": s.table,
                "rows": f"{s.rows[0]}-{s.rows[1]}",
                "dim": s.columns[1] - s.columns[0],
                "sharding": self.sharding,
                "rank": self.collective.rank,
                "elements": s.weight.numel(),
                "bytes": 4 * (s.weight.numel() + sum(t.numel() for t in s.optimizer.values())),
            }
            for s in self._shards
        ]
        return [line for lines in self.collective.gather_objects(mine) for line in lines]
