"""A loss against every row of a table: what a task says of it, so that an engine computes it where the rows are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from saccade.models.losses.full_softmax import FullSoftmax
from saccade.models.table import Table
from saccade.pipelines.batch import Batch
from saccade.pipelines.optimizers.table import sum_by_row
from saccade.pipelines.shard import TableShard


@dataclass(frozen=True)
class ScoredTable:
    """A table whose rows are all scored, by dot product with the network's output.

    Such rows count as looked up: each step changes all of them, with the gradient of scores and look-ups together.

    Attributes:
        table: its name.
        loss: of the scores.
        padding_rows: ids below this take no part.
    """

    table: str
    loss: FullSoftmax
    padding_rows: int = 1


@runtime_checkable
class ScoresTable(Protocol):
    """What a :class:`saccade.pipelines.task.Task` has besides where its loss may be one against a whole table."""

    @property
    def tables(self) -> Sequence[Table]:
        """As every task's."""

    @property
    def scored_table(self) -> ScoredTable | None:
        """The table, and the loss that takes the place of ``Task.loss``; None where that one is to be used."""

    def queries(self, output: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """[N, dim] from a training output, and the [N] int64 ids of their targets; N is ``batch.targets``."""


def scored_table(task: object) -> ScoredTable | None:
    """The table that a task's loss scores as a whole; None for most tasks."""
    return task.scored_table if isinstance(task, ScoresTable) else None


@dataclass(frozen=True, eq=False)
class RowGradients:
    """The gradient of all rows of a shard.

    Attributes:
        shard: whose rows they are.
        first: the shard's rows before this one, counted from its own first, have none.
        values: [rows, columns] like the shard's weight; zeros before ``first``.
    """

    shard: TableShard
    first: int
    values: Tensor


def gradients_by_row(ids: Tensor, gradients: Tensor, scored: RowGradients | None = None) -> list[tuple[Tensor, Tensor]]:
    """What an optimizer is to step: rows [r], each once, and their summed gradients [r, columns]; one part or two.

    Args:
        ids: [n] int64 rows of a shard that were looked up.
        gradients: [n, columns] of each.
        scored: the shard's, where all of its rows have a gradient besides; the others are added to its values.
    """
    if scored is None:
        return [sum_by_row(ids, gradients)]
    scored.values.index_add_(0, ids, gradients)
    before = ids[ids < scored.first].unique()
    rows = torch.arange(scored.first, len(scored.values), device=ids.device)
    return [(before, scored.values[before]), (rows, scored.values[scored.first :])]
