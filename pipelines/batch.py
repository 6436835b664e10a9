"""A micro-batch: what travels from the reader through the tables and the network to the loss."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from saccade.models.jagged import Jagged, Layout


@dataclass(frozen=True, eq=False)
class Batch:
    """One micro-batch of one lane; it may be empty (no rows), and then still takes part in every collective.

    Attributes:
        lookups: feature -> [n] int64 ids to look up in the tables; the engine gives back [n, dim] for each.
        inputs: everything else the task's forward pass and loss want, by name.
        targets: number of loss terms; the step's loss is the sum over them divided by the step's global count.
        events: tokens that this batch consumes, the unit of throughput.
        rows: [N] int64, the source's row numbers in it, for tracing and errors.
        seed: of the dropout masks that fall on it, a function of its place in the global order alone.
    """

    lookups: Mapping[str, Tensor]
    inputs: Mapping[str, Tensor | Jagged | Layout]
    targets: int
    events: int
    rows: Tensor
    seed: int = 0

    def to(self, device: torch.device | str) -> Batch:
        """A copy whose lookups and inputs are on ``device``."""
        if torch.device(device).type == "cpu":
            return self
        lookups = {name: ids.to(device, non_blocking=True) for name, ids in self.lookups.items()}
        inputs = {name: value.to(device) for name, value in self.inputs.items()}
        return replace(self, lookups=lookups, inputs=inputs)
