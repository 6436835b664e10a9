"""The hybrid engine: TorchRec shards the tables, DeepSpeed shards the network, and the seam joins them.

One optimizer step: look all micro-batches up at once; detach the result into leaves, the seam; run each micro-batch
through the network and backward; at the accumulation boundary the network steps, and the leaves' gradients go through
the tables once, whose fused optimizers then step exactly once. One worker trains 0.88 times the events a second of
plain torch (`python benchmarks/sasrec_engines.py`, ZeRO 2, one thread).
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from saccade.pipelines.batch import Batch
from saccade.pipelines.checkpoint.reader import CheckpointReader
from saccade.pipelines.collective import Collective
from saccade.pipelines.engine import EngineState
from saccade.pipelines.optimizers import NetworkOptimizer, TableOptimizer
from saccade.pipelines.precision import Precision
from saccade.pipelines.seeds import derive_seed
from saccade.pipelines.shard import TableShard
from saccade.pipelines.task import Task
from saccade.plugins.deepspeed.network import ZeroNetwork
from saccade.plugins.torchrec.plan import Sharding
from saccade.plugins.torchrec.tables import ShardedTables


class HybridEngine:
    """Tables and network over all ranks of the default process group.

    Args:
        task: gives the tables (possibly none), the network and the loss.
        optimizer: of the network.
        table_optimizers: for each table's name.
        seed: the run's.
        device: of this rank.
        lanes: K, the micro-batches of a step over all ranks; a multiple of the number of ranks.
        zero_stage: of the network.
        sharding: of the tables.
        precision: of the network's forward and backward pass.
    """

    def __init__(
        self,
        task: Task,
        *,
        optimizer: NetworkOptimizer,
        table_optimizers: Mapping[str, TableOptimizer],
        seed: int,
        device: torch.device,
        lanes: int,
        zero_stage: int,
        sharding: Sharding,
        precision: Precision = "fp32",
    ) -> None:
        self.collective = Collective()
        self.task, self.device, self.lanes, self.zero_stage = task, device, lanes, zero_stage
        local_size = int(os.environ.get("LOCAL_WORLD_SIZE", self.collective.world_size))
        self.tables = (
            ShardedTables(
                task.tables,
                table_optimizers,
                sharding,
                seed=seed,
                device=device,
                collective=self.collective,
                local_size=local_size,
            )
            if task.tables
            else None
        )
        torch.manual_seed(derive_seed(seed, "network"))
        self.network = ZeroNetwork(
            task.network(),
            optimizer,
            zero_stage=zero_stage,
            accumulation=lanes // self.collective.world_size,
            device=device,
            precision=precision,
            collective=self.collective,
        )

    def step(self, batches: Sequence[Batch], targets: int, learning_rate: float) -> float:
        """See :class:`saccade.pipelines.engine.Engine`."""
        self.network.train(True)
        batches = [batch.to(self.device) for batch in batches]
        if self.tables:
            self.tables.set_learning_rate(learning_rate)
        total = 0.0
        for batch, embeddings in zip(batches, self._lookup(batches), strict=True):
            torch.manual_seed(batch.seed)
            output = self.task.forward(self.network, embeddings, batch)
            loss = self.task.loss(output, embeddings, batch) / targets
            # DeepSpeed takes the mean over all K micro-batches of all ranks; the step's loss is their sum.
            self.network.backward(loss * self.lanes)
            self.network.step(learning_rate)
            total += float(loss.detach())
        if self.tables:
            # backward has divided by the accumulation: a leaf holds the true gradient times the number of ranks.
            self.tables.step()
        return total

    @torch.no_grad()
    def evaluate(self, batches: Sequence[Batch]) -> list[Tensor]:
        """See :class:`saccade.pipelines.engine.Engine`."""
        self.network.train(False)
        moved = [batch.to(self.device) for batch in batches]
        looked_up = self._lookup(moved)
        return [self.task.forward(self.network, e, b) for e, b in zip(looked_up, moved, strict=True)]

    def _lookup(self, batches: Sequence[Batch]) -> list[dict[str, Tensor]]:
        if self.tables is None:
            return [{} for _ in batches]
        return self.tables.lookup([batch.lookups for batch in batches])

    def shards(self, table: str) -> Sequence[TableShard]:
        """See :class:`saccade.pipelines.engine.Engine`."""
        return [shard for shard in self._shards() if shard.table == table]

    def _shards(self) -> Sequence[TableShard]:
        return self.tables.shards() if self.tables else []

    def state(self) -> EngineState:
        """See :class:`saccade.pipelines.engine.Engine`."""
        return EngineState(self._shards(), self.network.state())

    @torch.no_grad()
    def load(self, checkpoint: CheckpointReader) -> None:
        """See :class:`saccade.pipelines.engine.Engine`."""
        for shard in self._shards():
            shard.weight.copy_(checkpoint.table(shard.table, "weight", shard.rows, shard.columns))
            for name, tensor in shard.optimizer.items():
                saved = checkpoint.table(shard.table, name, shard.rows, shard.columns)
                tensor.copy_(saved.view_as(tensor))
        self.network.load(checkpoint.network)

    def describe(self) -> dict[str, object]:
        """See :class:`saccade.pipelines.engine.Engine`."""
        return {
            "name": "hybrid",
            "device": str(self.device),
            "workers": self.collective.world_size,
            "zero_stage": self.zero_stage,
            "network_parameters": self.network.parameters,
            "plan": self.tables.plan() if self.tables else [],
        }
