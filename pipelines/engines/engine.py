"""What the training loop asks of whatever runs a model: one process of plain torch, or a cluster."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from saccade.pipelines.batch import Batch
from saccade.pipelines.checkpoint.reader import CheckpointReader
from saccade.pipelines.collective import Collective
from saccade.pipelines.engines.gradients import Outcome
from saccade.pipelines.shard import TableShard


@dataclass(frozen=True)
class EngineState:
    """What one rank contributes to a checkpoint.

    Attributes:
        shards: the parts of tables that this rank writes (every element of every table is some rank's).
        network: this rank's share of the full fp32 tensors by name: ``weight/NAME`` and ``optimizer/STATE/NAME``.
        scalars: small numbers of the engine as a whole, equal on every rank: the loss scale, the tables' step count.
    """

    shards: Sequence[TableShard]
    network: Mapping[str, Tensor]
    scalars: Mapping[str, float]


@dataclass(frozen=True)
class StepResult:
    """What became of an optimizer step.

    Attributes:
        loss: the step's: the sum over its targets on all ranks, divided by their number; equal on every rank.
        gradient_norm: 2-norm over the network's gradient and the seam's, before clipping; equal on every rank.
        outcome: ``stepped``; ``overflow``, a gradient beyond fp16, for which the loss scale has been lowered; or
            ``not_finite``, a loss or gradient that is NaN or infinite. Equal on every rank, and only ``stepped`` has
            changed weights or optimizer state, on whichever rank.
        losses: what each of this rank's micro-batches adds to ``loss``.
    """

    loss: float
    gradient_norm: float
    outcome: Outcome
    losses: tuple[float, ...]


class Engine(Protocol):
    """Tables and a network that take optimizer steps together.

    Every method is a collective: all ranks call it in the same order.
    """

    collective: Collective
    device: torch.device

    def step(self, batches: Sequence[Batch], targets: int, learning_rate: float) -> StepResult:
        """One optimizer step of tables and network, or none of either where its gradient isn't finite.

        Args:
            batches: this rank's micro-batches, accumulated.
            targets: the step's count of loss terms over all ranks, by which the loss is divided; >= 1.
            learning_rate: the factor on every optimizer's own rate at this step (the schedule).
        """

    def evaluate(self, batches: Sequence[Batch]) -> list[Tensor]:
        """The network's outputs for these micro-batches without dropout and gradients; equally many on every rank."""

    def shards(self, table: str) -> Sequence[TableShard]:
        """The parts of a table that this rank holds."""

    def state(self) -> EngineState:
        """What this rank writes to a checkpoint."""

    def load(self, checkpoint: CheckpointReader, grow: Collection[str] = ()) -> None:
        """Take tables, network and optimizer state from a checkpoint made by any engine on any number of workers.

        Args:
            checkpoint: where from.
            grow: tables that may have more rows than they have there; the new rows keep their initial values.

        Raises:
            UserError: another table or network than the checkpoint's, or fewer rows.
        """

    def describe(self) -> dict[str, object]:
        """Facts for the run's record: engine, parameters, sharding plan, bytes a rank."""
