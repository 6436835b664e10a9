"""Models that were counted, asked like those that were trained."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from saccade.pipelines.batch import Batch
from saccade.pipelines.engines.counted import CountedEngine
from saccade.pipelines.shard import TableShard
from saccade.pipelines.task import Task


class CountedScores:
    """An :class:`Answering` of a counted model; for one thread, because its table is the latest batch's.

    Args:
        task: whose outputs they are.
        engine: scores the items.
    """

    embeds = False

    def __init__(self, task: Task, engine: CountedEngine) -> None:
        self.task, self.engine = task, engine

    def __call__(self, batch: Batch) -> Tensor:
        """[B, B], see CountedEngine."""
        return self.engine.evaluate([batch])[0]

    def shards(self, table: str) -> Sequence[TableShard]:
        """The scores of the latest batch."""
        return self.engine.shards(table)
