"""The seam: where rows looked up in the tables become leaves of the network's graph, and their gradients go back."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor

from saccade.models.table import Table
from saccade.pipelines.checkpoint.reader import CheckpointReader
from saccade.pipelines.collective import Collective
from saccade.pipelines.engines.gradients import squares
from saccade.pipelines.optimizers import TableOptimizer
from saccade.pipelines.scored_table import RowGradients
from saccade.pipelines.shard import TableShard
from saccade.plugins.hybrid.replicated import ReplicatedTables
from saccade.plugins.torchrec.plan import Sharding, place
from saccade.plugins.torchrec.tables import ShardedTables


class _Group(Protocol):
    """Some of the model's tables."""

    def lookup(self, ids: Mapping[str, Tensor]) -> dict[str, Tensor]: ...
    def step(
        self, gradients: Mapping[str, Tensor], scored: Sequence[RowGradients], *, factor: float, step: int
    ) -> None: ...
    def forget(self) -> None: ...
    def shards(self) -> list[TableShard]: ...
    def load(self, checkpoint: CheckpointReader) -> None: ...


class Seam:
    """All tables of a model on one side, its network on the other.

    Args:
        tables: possibly none.
        optimizers, shardings: for each table's name.
        seed: of the initial values.
        device: of this rank.
        collective: all ranks.
        scored: the names of tables that a loss scores as a whole.

    Raises:
        UserError: a table can't be cut as asked.
    """

    def __init__(
        self,
        tables: Sequence[Table],
        optimizers: Mapping[str, TableOptimizer],
        shardings: Mapping[str, Sharding],
        *,
        seed: int,
        device: torch.device,
        collective: Collective,
        scored: Collection[str] = (),
    ) -> None:
        self.collective = collective
        self.placements = place(tables, optimizers, shardings, device=device, collective=collective, scored=scored)
        # One rank holds everything whichever way it is cut, and has nobody to send anything to.
        alone = collective.world_size == 1
        replicated = [t for t in tables if alone or self.placements[t.name].cut == "replicated"]
        sharded = [t for t in tables if t not in replicated]
        self.groups: list[_Group] = []
        if replicated:
            self.groups.append(
                ReplicatedTables(replicated, optimizers, seed=seed, device=device, collective=collective)
            )
        for dim in {t.dim: None for t in sharded}:  # TorchRec's collections are of one width
            same = [t for t in sharded if t.dim == dim]
            self.groups.append(
                ShardedTables(same, optimizers, self.placements, seed=seed, device=device, collective=collective)
            )
        self._leaves: list[dict[str, Tensor]] = []

    def lookup(self, lookups: Sequence[Mapping[str, Tensor]]) -> list[dict[str, Tensor]]:
        """Look all micro-batches of this rank up at once. A collective.

        Args:
            lookups: for each micro-batch, feature -> [n] int64 ids.

        Returns:
            For each micro-batch, feature -> [n, dim] leaf that collects the gradient.
        """
        self._leaves = [{} for _ in lookups]
        if self.groups:
            features = lookups[0]
            ids = {feature: torch.cat([found[feature] for found in lookups]) for feature in features}
            training = torch.is_grad_enabled()
            for group in self.groups:
                for feature, values in group.lookup(ids).items():
                    sizes = [len(found[feature]) for found in lookups]
                    for leaves, part in zip(self._leaves, values.split(sizes), strict=True):
                        leaves[feature] = part.detach().requires_grad_(training)
        return self._leaves

    def squares(self) -> float:
        """The sum of the squares of this rank's gradients at the seam."""
        return squares(leaf.grad for leaves in self._leaves for leaf in leaves.values())

    def step(self, scored: Sequence[RowGradients], *, coefficient: float, factor: float, step: int) -> None:
        """Send the leaves' gradients to the tables, whose optimizers step once. A collective.

        Args:
            scored: true gradients of all rows of this rank's parts of a table, to be stepped together with the leaves'.
            coefficient: on the gradients, which then are the true ones.
            factor: of the schedule, on every table's learning rate.
            step: how many steps the tables have taken, this one included.
        """
        if self.groups:
            gradients = {}
            for feature in self._leaves[0]:
                leaves = [found[feature] for found in self._leaves]
                parts = [torch.zeros_like(leaf) if leaf.grad is None else leaf.grad for leaf in leaves]
                gradients[feature] = torch.cat(parts).mul_(coefficient)
            for group in self.groups:
                group.step(gradients, scored, factor=factor, step=step)
        self._leaves = []

    def discard(self) -> None:
        """Forget the latest look-up and its gradients."""
        for group in self.groups:
            group.forget()
        self._leaves = []

    def shards(self) -> list[TableShard]:
        """The parts of all tables for which this rank answers; all ranks' together are the tables."""
        return [shard for group in self.groups for shard in group.shards()]

    def load(self, checkpoint: CheckpointReader) -> None:
        """Take weights and optimizer state from a checkpoint that fits."""
        for group in self.groups:
            group.load(checkpoint)

    def plan(self) -> list[dict[str, object]]:
        """A line for each part of each table on every rank, for the run's record. A collective."""
        mine = [self._line(shard) for shard in self.shards()]
        return [line for lines in self.collective.gather_objects(mine) for line in lines]

    def _line(self, shard: TableShard) -> dict[str, object]:
        """A replicated table's line counts the rows that its rank answers for, and the bytes of the whole."""
        cut = self.placements[shard.table].cut
        tensors = [shard.weight, *shard.optimizer.values()]
        copies = self.collective.world_size if cut == "replicated" else 1
        return {
            "table": shard.table,
            "rows": f"{shard.rows[0]}-{shard.rows[1]}",
            "columns": f"{shard.columns[0]}-{shard.columns[1]}",
            "dim": shard.columns[1] - shard.columns[0],
            "sharding": cut,
            "rank": self.collective.rank,
            "elements": shard.weight.numel(),
            "bytes": copies * sum(t.numel() * t.element_size() for t in tensors),
        }
