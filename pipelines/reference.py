"""The plain-torch engine: one process, no cluster library; what every other engine is held to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from saccade.pipelines.batch import Batch
from saccade.pipelines.checkpoint.reader import CheckpointReader
from saccade.pipelines.collective import Collective
from saccade.pipelines.engine import EngineState
from saccade.pipelines.network_state import load_network, network_state
from saccade.pipelines.optimizers import NetworkOptimizer, TableOptimizer, scale_learning_rate
from saccade.pipelines.precision import Precision, autocast
from saccade.pipelines.seeds import derive_seed
from saccade.pipelines.shard import TableShard
from saccade.pipelines.tables import LocalTables
from saccade.pipelines.task import Task


class ReferenceEngine:
    """Tables and network in one process; the micro-batches of a step are run one after the other.

    Args:
        task: gives the tables, the network and the loss.
        optimizer: of the network.
        table_optimizers: for each table's name.
        seed: the run's.
        device: where everything lives.
        precision: of the network's forward and backward pass; weights and optimizers are float32.
    """

    def __init__(
        self,
        task: Task,
        *,
        optimizer: NetworkOptimizer,
        table_optimizers: Mapping[str, TableOptimizer],
        seed: int,
        device: torch.device,
        precision: Precision = "fp32",
    ) -> None:
        self.collective = Collective()
        self.task, self.device, self.precision = task, device, precision
        self.tables = LocalTables(task.tables, table_optimizers, seed, device)
        torch.manual_seed(derive_seed(seed, "network"))
        self.network = task.network().to(device)
        self.settings = optimizer
        self.optimizer = optimizer.build(self.network.parameters())

    def step(self, batches: Sequence[Batch], targets: int, learning_rate: float) -> float:
        """See :class:`saccade.pipelines.engine.Engine`."""
        self.network.train()
        batches = [batch.to(self.device) for batch in batches if batch.targets]
        leaves = [self.tables.lookup(batch.lookups) for batch in batches]
        total = 0.0
        for batch, embeddings in zip(batches, leaves, strict=True):
            torch.manual_seed(batch.seed)
            loss = self.task.loss(self._forward(embeddings, batch), embeddings, batch) / targets
            loss.backward()
            total += float(loss.detach())
        scale_learning_rate(self.optimizer, self.settings, learning_rate)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.tables.step([batch.lookups for batch in batches], leaves, learning_rate)
        return total

    @torch.no_grad()
    def evaluate(self, batches: Sequence[Batch]) -> list[Tensor]:
        """See :class:`saccade.pipelines.engine.Engine`."""
        self.network.eval()
        moved = [batch.to(self.device) for batch in batches]
        return [self._forward(self.tables.lookup(batch.lookups), batch) for batch in moved]

    def _forward(self, embeddings: Mapping[str, Tensor], batch: Batch) -> Tensor:
        with autocast(self.device, self.precision):
            return self.task.forward(self.network, embeddings, batch)

    def shards(self, table: str) -> Sequence[TableShard]:
        """See :class:`saccade.pipelines.engine.Engine`."""
        return [shard for shard in self.tables.shards() if shard.table == table]

    def state(self) -> EngineState:
        """See :class:`saccade.pipelines.engine.Engine`."""
        return EngineState(self.tables.shards(), network_state(self.network, self.optimizer))

    @torch.no_grad()
    def load(self, checkpoint: CheckpointReader) -> None:
        """See :class:`saccade.pipelines.engine.Engine`."""
        for shard in self.tables.shards():
            shard.weight.copy_(checkpoint.table(shard.table, "weight", shard.rows, shard.columns))
            for name, tensor in shard.optimizer.items():
                tensor.copy_(checkpoint.table(shard.table, name, shard.rows, shard.columns))
        load_network(self.network, self.optimizer, checkpoint.network)

    def describe(self) -> dict[str, object]:
        """See :class:`saccade.pipelines.engine.Engine`."""
        plan = [
            {
                "table": t.name,
                "rows": t.rows,
                "dim": t.dim,
                "sharding": "whole",
                "rank": 0,
                "elements": t.rows * t.dim,
                "bytes": t.rows * t.dim * 4,
            }
            for t in self.task.tables
        ]
        parameters = sum(p.numel() for p in self.network.parameters())
        return {"name": "reference", "device": str(self.device), "network_parameters": parameters, "plan": plan}
