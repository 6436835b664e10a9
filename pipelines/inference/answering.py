"""What can be asked of a trained model, whatever it consists of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor

from saccade.pipelines.batch import Batch
from saccade.pipelines.shard import TableShard
from saccade.pipelines.task import Task


class Answering(Protocol):
    """A trained model: a task's outputs, and the tables that they are scored against.

    Attributes:
        embeds: whether outputs and tables' rows are vectors that mean something to others.
    """

    embeds: bool

    @property
    def task(self) -> Task:
        """Whose outputs they are."""

    def __call__(self, batch: Batch) -> Tensor:
        """The output for a batch."""

    def shards(self, table: str) -> Sequence[TableShard]:
        """A table as the one shard that it is; it may be about the latest batch alone."""
