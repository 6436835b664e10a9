"""An engine for models that were counted and take no step: it evaluates and predicts as every engine does."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import torch
from torch import Tensor, nn

from saccade.models.jagged import Jagged
from saccade.pipelines.batch import Batch
from saccade.pipelines.checkpoint.reader import CheckpointReader
from saccade.pipelines.collective import Collective
from saccade.pipelines.engines.engine import EngineState, StepResult
from saccade.pipelines.shard import TableShard


class CountedEngine:
    """One process that scores all items for one micro-batch at a time.

    Tasks score an output against the item table. Here a micro-batch's own scores stand for the table, one column a row
    of it, and row n's output is the n-th unit vector: their product is the scores again, exactly. So what ranks and
    recommends for networks does it for these models too, by the same code.

    Args:
        scorer: item ids of B histories -> [B, items].
    """

    def __init__(self, scorer: nn.Module) -> None:
        self.collective, self.device = Collective(), torch.device("cpu")
        self.scorer = scorer.eval()
        self._table = torch.zeros(0, 0)

    @torch.no_grad()
    def evaluate(self, batches: Sequence[Batch]) -> list[Tensor]:
        """[B, B] for the one micro-batch; ``shards`` then is about it."""
        (batch,) = batches
        seen = batch.inputs["seen"]
        assert isinstance(seen, Jagged)
        self._table = self.scorer(seen).T
        return [torch.eye(len(seen))]

    def shards(self, table: str) -> Sequence[TableShard]:
        """The whole table of the latest micro-batch, [items, B]."""
        rows, columns = self._table.shape
        return [TableShard(table, (0, rows), (0, columns), self._table, {})]

    def describe(self) -> dict[str, object]:
        """See :class:`saccade.pipelines.engines.engine.Engine`."""
        return {"name": "counted", "device": "cpu", "network_parameters": 0, "plan": []}

    def step(self, batches: Sequence[Batch], targets: int, learning_rate: float) -> StepResult:
        """Never called: there is nothing to learn by steps."""
        raise NotImplementedError("a counted model takes no step")

    def state(self) -> EngineState:
        """Never called: what was counted is an artifact of the run."""
        raise NotImplementedError("a counted model has no checkpoint")

    def load(self, checkpoint: CheckpointReader, grow: Collection[str] = ()) -> None:
        """Never called, likewise."""
        raise NotImplementedError("a counted model has no checkpoint")
