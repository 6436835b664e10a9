"""What the training loop asks of whatever runs a model: one process of plain torch, or a cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from saccade.pipelines.batch import Batch
from saccade.pipelines.checkpoint.reader import CheckpointReader
from saccade.pipelines.collective import Collective
from saccade.pipelines.shard import TableShard


@dataclass(frozen=True)
class EngineState:
    """What one rank contributes to a checkpoint.

    Attributes:
        shards: the parts of tables that this rank writes (every element of every table is some rank's).
        network: this rank's share of the full fp32 tensors by name: ``weight/NAME`` and ``optimizer/STATE/NAME``.
    """

    shards: Sequence[TableShard]
    network: Mapping[str, Tensor]


class Engine(Protocol):
    """Tables and a network that take optimizer steps together.

    Every method is a collective: all ranks call it in the same order.
    """

    collective: Collective
    device: torch.device

    def step(self, batches: Sequence[Batch], targets: int, learning_rate: float) -> float:
        """One optimizer step of tables and network.

        Args:
            batches: this rank's micro-batches, accumulated.
            targets: the step's count of loss terms over all ranks, by which the loss is divided; >= 1.
            learning_rate: the factor on every optimizer's own rate at this step (the schedule).

        Returns:
            This rank's part of the step's loss: the sum over its targets divided by ``targets``.
        """

    def evaluate(self, batches: Sequence[Batch]) -> list[Tensor]:
        """The network's outputs for these micro-batches without dropout and gradients; equally many on every rank."""

    def shards(self, table: str) -> Sequence[TableShard]:
        """The parts of a table that this rank holds."""

    def state(self) -> EngineState:
        """What this rank writes to a checkpoint."""

    def load(self, checkpoint: CheckpointReader) -> None:
        """Take tables, network and optimizer state from a checkpoint made by any engine on any number of workers."""

    def describe(self) -> dict[str, object]:
        """Facts for the run's record: engine, parameters, sharding plan, bytes a rank."""
