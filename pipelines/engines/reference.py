"""The plain-torch engine: one process, no cluster library; what every other engine is held to."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

import torch
from torch import Tensor

from saccade.models.scheduled import scheduled, set_step
from saccade.pipelines.batch import Batch
from saccade.pipelines.checkpoint.reader import CheckpointReader
from saccade.pipelines.checkpoint.restore import check_tables
from saccade.pipelines.collective import Collective
from saccade.pipelines.engines.engine import EngineState, StepResult
from saccade.pipelines.engines.gradients import GradientScaling, squares
from saccade.pipelines.engines.network_state import load_network, network_state
from saccade.pipelines.engines.precision import Precision, autocast
from saccade.pipelines.engines.scoring import TaskLoss
from saccade.pipelines.engines.tables import LocalTables
from saccade.pipelines.optimizers import NetworkOptimizer, TableOptimizer
from saccade.pipelines.seeds import derive_seed, seed_drawing
from saccade.pipelines.shard import TableShard
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
        clip: the largest norm of a step's gradient; None for no clipping.
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
        clip: float | None = None,
    ) -> None:
        self.collective = Collective()
        self.task, self.device, self.precision = task, device, precision
        self.tables = LocalTables(task.tables, table_optimizers, seed, device)
        torch.manual_seed(derive_seed(seed, "network"))
        self.network = task.network().to(device)
        self.scheduled = scheduled(self.network)
        self.settings = optimizer
        self.parameters = list(self.network.parameters())
        self.optimizer = optimizer.build(self.parameters)
        self.scaling = GradientScaling(precision, clip)
        self.loss = TaskLoss(task, self.shards, self.collective, device)
        self.steps = 0

    def step(self, batches: Sequence[Batch], targets: int, learning_rate: float) -> StepResult:
        """See :class:`saccade.pipelines.engines.engine.Engine`."""
        self._switch(training=True)
        batches = [batch.to(self.device) for batch in batches]
        leaves = [self.tables.lookup(batch.lookups) for batch in batches]
        losses = []
        for batch, embeddings in zip(batches, leaves, strict=True):
            losses.append(0.0)
            if batch.targets:
                seed_drawing(batch.seed, self.device)
                loss = self.loss(self._forward(embeddings, batch), embeddings, batch) / targets
                (loss * self.scaling.scale).backward()
                losses[-1] = float(loss.detach())
        gradients = [parameter.grad for parameter in self.parameters]
        seam = [leaf.grad for embeddings in leaves for leaf in embeddings.values()]
        norm = math.sqrt(squares([*gradients, *seam]) + self.loss.squares())
        verdict = self.scaling.judge(sum(losses), norm)
        if verdict.outcome == "stepped":
            self.steps += 1
            torch._foreach_mul_([g for g in gradients if g is not None], verdict.coefficient)
            self.settings.scale_learning_rate(self.optimizer, learning_rate)
            self.optimizer.step()
            lookups = [batch.lookups for batch in batches]
            self.loss.scale(verdict.coefficient)
            self.tables.step(
                lookups,
                leaves,
                self.loss.gradients,
                coefficient=verdict.coefficient,
                factor=learning_rate,
                step=self.steps,
            )
        self.optimizer.zero_grad(set_to_none=True)
        self.loss.clear()
        return StepResult(sum(losses), verdict.norm, verdict.outcome, tuple(losses))

    @torch.no_grad()
    def evaluate(self, batches: Sequence[Batch]) -> list[Tensor]:
        """See :class:`saccade.pipelines.engines.engine.Engine`."""
        self._switch(training=False)
        moved = [batch.to(self.device) for batch in batches]
        return [self._forward(self.tables.lookup(batch.lookups), batch) for batch in moved]

    def _switch(self, training: bool) -> None:
        if self.network.training != training:
            self.network.train(training)
        set_step(self.scheduled, self.steps)

    def _forward(self, embeddings: Mapping[str, Tensor], batch: Batch) -> Tensor:
        with autocast(self.device, self.precision):
            return self.task.forward(self.network, embeddings, batch)

    def shards(self, table: str) -> Sequence[TableShard]:
        """See :class:`saccade.pipelines.engines.engine.Engine`."""
        return [shard for shard in self.tables.shards() if shard.table == table]

    def state(self) -> EngineState:
        """See :class:`saccade.pipelines.engines.engine.Engine`."""
        scalars = {"steps": float(self.steps), **self.scaling.state()}
        return EngineState(self.tables.shards(), network_state(self.network, self.optimizer), scalars)

    @torch.no_grad()
    def load(self, checkpoint: CheckpointReader, grow: Collection[str] = ()) -> None:
        """See :class:`saccade.pipelines.engines.engine.Engine`."""
        check_tables(self.task.tables, checkpoint, grow)
        self.tables.load(checkpoint)
        load_network(self.network, self.optimizer, checkpoint.network)
        self.steps = int(checkpoint.manifest.engine.get("steps", 0))
        self.scaling.load(checkpoint.manifest.engine)

    def describe(self) -> dict[str, object]:
        """See :class:`saccade.pipelines.engines.engine.Engine`."""
        plan = [
            {
                "table": shard.table,
                "rows": f"0-{shard.rows[1]}",
                "columns": f"0-{shard.columns[1]}",
                "dim": shard.columns[1],
                "sharding": "whole",
                "rank": 0,
                "elements": shard.weight.numel(),
                "bytes": sum(t.numel() * t.element_size() for t in (shard.weight, *shard.optimizer.values())),
            }
            for shard in self.tables.shards()
        ]
        parameters = sum(p.numel() for p in self.parameters)
        return {"name": "reference", "device": str(self.device), "network_parameters": parameters, "plan": plan}
