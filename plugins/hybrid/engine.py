"""The hybrid engine: TorchRec shards the tables, DeepSpeed shards the network, and the seam joins them.

One optimizer step: look all micro-batches up at once; detach the result into leaves, the seam; run each micro-batch
through the network and backward; at the accumulation boundary one norm is taken over the network's gradient and the
leaves', and then the network steps, and the tables, whose leaves' gradients go back once. One worker trains 0.95 times
the events a second of plain torch (`python benchmarks/sasrec_engines.py`, ZeRO 1, one thread).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

import torch
from torch import Tensor

from saccade.pipelines.batch import Batch
from saccade.pipelines.checkpoint.reader import CheckpointReader
from saccade.pipelines.checkpoint.restore import check_tables
from saccade.pipelines.collective import Collective
from saccade.pipelines.engines.engine import EngineState, StepResult
from saccade.pipelines.engines.gradients import GradientScaling
from saccade.pipelines.engines.precision import Precision
from saccade.pipelines.engines.scoring import TaskLoss
from saccade.pipelines.optimizers import NetworkOptimizer, TableOptimizer
from saccade.pipelines.scored_table import scored_table
from saccade.pipelines.seeds import derive_seed, seed_drawing
from saccade.pipelines.shard import TableShard
from saccade.pipelines.task import Task
from saccade.plugins.deepspeed.network import ZeroNetwork
from saccade.plugins.hybrid.seam import Seam
from saccade.plugins.torchrec.plan import Sharding


class HybridEngine:
    """Tables and network over all ranks of the default process group.

    Args:
        task: gives the tables (possibly none), the network and the loss.
        optimizer: of the network.
        table_optimizers: for each table's name.
        seed: the run's.
        device: of this rank.
        lanes: K, the micro-batches of a step over all ranks.
        zero_stage: of the network.
        shardings: for each table's name.
        offload_optimizer: keep the network's optimizer on the host (ZeRO 1 to 3).
        precision: of the network's forward and backward pass.
        clip: the largest norm of a step's gradient; None for no clipping.

    Raises:
        UserError: the sharding, the ZeRO stage and the optimizers don't go together.
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
        shardings: Mapping[str, Sharding],
        offload_optimizer: bool = False,
        precision: Precision = "fp32",
        clip: float | None = None,
    ) -> None:
        self.collective = Collective()
        self.task, self.device, self.zero_stage = task, device, zero_stage
        scored = scored_table(task)
        self.seam = Seam(
            task.tables,
            table_optimizers,
            shardings,
            seed=seed,
            device=device,
            collective=self.collective,
            scored=[scored.table] if scored else [],
        )
        torch.manual_seed(derive_seed(seed, "network"))
        self.accumulation = -(-lanes // self.collective.world_size)
        self.network = ZeroNetwork(
            task.network(),
            optimizer,
            zero_stage=zero_stage,
            offload=offload_optimizer,
            accumulation=self.accumulation,
            device=device,
            precision=precision,
            collective=self.collective,
        )
        self.scaling = GradientScaling(precision, clip)
        self.loss = TaskLoss(task, self.shards, self.collective, device)
        self.steps = 0

    def step(self, batches: Sequence[Batch], targets: int, learning_rate: float) -> StepResult:
        """See :class:`saccade.pipelines.engines.engine.Engine`; every rank has K / W batches, rounded up."""
        self.network.train(True, self.steps)
        batches = [batch.to(self.device) for batch in batches]
        # DeepSpeed divides by the accumulation before backward: what runs backward is the loss times its scale, as on
        # one worker, so fp16 overflows alike. After backward it takes the mean over ranks, where the sum is wanted.
        scale, ranks = self.accumulation * self.scaling.scale, self.collective.world_size
        losses = []
        for batch, embeddings in zip(batches, self._lookup(batches), strict=True):
            seed_drawing(batch.seed, self.device)
            output = self.task.forward(self.network, embeddings, batch)
            loss = self.loss(output, embeddings, batch) / targets
            self.network.backward(loss * scale)
            losses.append(float(loss.detach()))
        gradient = self.network.squares() * ranks**2 + self.seam.squares() + self.loss.squares()
        sums = torch.tensor([sum(losses), gradient], dtype=torch.float64, device=self.device)
        loss_sum, norm_squared = self.collective.sum(sums).tolist()
        verdict = self.scaling.judge(loss_sum, math.sqrt(norm_squared))
        if verdict.outcome == "stepped":
            self.steps += 1
            self.network.step(coefficient=verdict.coefficient * ranks, factor=learning_rate)
            self.loss.scale(verdict.coefficient)
            self.seam.step(self.loss.gradients, coefficient=verdict.coefficient, factor=learning_rate, step=self.steps)
        else:
            self.network.discard()
            self.seam.discard()
        self.loss.clear()
        return StepResult(loss_sum, verdict.norm, verdict.outcome, tuple(losses))

    @torch.no_grad()
    def evaluate(self, batches: Sequence[Batch]) -> list[Tensor]:
        """See :class:`saccade.pipelines.engines.engine.Engine`."""
        self.network.train(False, self.steps)
        moved = [batch.to(self.device) for batch in batches]
        looked_up = self._lookup(moved)
        return [self.task.forward(self.network, e, b) for e, b in zip(looked_up, moved, strict=True)]

    def _lookup(self, batches: Sequence[Batch]) -> list[dict[str, Tensor]]:
        return self.seam.lookup([batch.lookups for batch in batches])

    def shards(self, table: str) -> Sequence[TableShard]:
        """See :class:`saccade.pipelines.engines.engine.Engine`."""
        return [shard for shard in self.seam.shards() if shard.table == table]

    def state(self) -> EngineState:
        """See :class:`saccade.pipelines.engines.engine.Engine`."""
        scalars = {"steps": float(self.steps), **self.scaling.state()}
        return EngineState(self.seam.shards(), self.network.state(), scalars)

    @torch.no_grad()
    def load(self, checkpoint: CheckpointReader, grow: Collection[str] = ()) -> None:
        """See :class:`saccade.pipelines.engines.engine.Engine`."""
        check_tables(self.task.tables, checkpoint, grow)
        self.seam.load(checkpoint)
        self.network.load(checkpoint.network)
        self.steps = int(checkpoint.manifest.engine.get("steps", 0))
        self.scaling.load(checkpoint.manifest.engine)

    def describe(self) -> dict[str, object]:
        """See :class:`saccade.pipelines.engines.engine.Engine`."""
        return {
            "name": "hybrid",
            "device": str(self.device),
            "workers": self.collective.world_size,
            "zero_stage": self.zero_stage,
            "network_parameters": self.network.parameters,
            "plan": self.seam.plan(),
        }
