"""A trained model to look into: plain torch in one process, which reads only what it is asked for."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from saccade.models.attention.attention import Attention
from saccade.models.attention.backends.choose import AUTO
from saccade.models.scheduled import scheduled, set_step
from saccade.models.table import Table
from saccade.pipelines.batch import Batch
from saccade.pipelines.checkpoint.reader import CheckpointReader
from saccade.pipelines.checkpoint.restore import check_tables, restore
from saccade.pipelines.engines.network_state import load_weights
from saccade.pipelines.engines.tables import initial_rows
from saccade.pipelines.shard import TableShard
from saccade.pipelines.task import Task


class FrozenModel:
    """A checkpoint's network on the host in float32, and of its tables the rows that a batch looks up.

    So it opens a checkpoint of any engine, and tables of any size: predicting needs a whole table, looking at what a
    network does with a few rows doesn't. Attention is computed by whichever backend can on this machine.

    Args:
        task: gives the network and the tables.
        checkpoint: where weights and rows come from.
        seed: the run's, for the rows of a table that has grown since.

    Attributes:
        network: in evaluation.

    Raises:
        UserError: the checkpoint is of another model.
    """

    def __init__(self, task: Task, checkpoint: CheckpointReader, seed: int) -> None:
        self.task, self.checkpoint, self.seed = task, checkpoint, seed
        check_tables(task.tables, checkpoint, grow=[table.name for table in task.tables])
        with torch.random.fork_rng(devices=[]):  # a network is drawn before its weights are loaded
            self.network = task.network().eval()
        load_weights(self.network, checkpoint.network)
        set_step(scheduled(self.network), int(checkpoint.manifest.engine.get("steps", 0)))
        for module in self.network.modules():
            if isinstance(module, Attention):
                module.backend = AUTO

    @torch.no_grad()
    def __call__(self, batch: Batch) -> Tensor:
        """The network's output for a batch."""
        embeddings: Mapping[str, Tensor] = {
            feature: self._rows(table, batch.lookups[feature])
            for table in self.task.tables
            for feature in table.features
        }
        return self.task.forward(self.network, embeddings, batch)

    def _rows(self, table: Table, ids: Tensor) -> Tensor:
        """[n, dim]: the rows with these ids, those that lie side by side read together."""
        if len(ids) == 0:
            return torch.empty(0, table.dim)
        rows, place = ids.unique(return_inverse=True)
        values = torch.empty(len(rows), table.dim)
        begins = (rows.diff(prepend=rows[:1] - 2) > 1).nonzero().squeeze(1).tolist()
        for begin, end in zip(begins, [*begins[1:], len(rows)], strict=True):
            extent = (int(rows[begin]), int(rows[end - 1]) + 1)
            shard = TableShard(table.name, extent, (0, table.dim), values[begin:end], {})
            restore(shard, self.checkpoint, lambda first, last: initial_rows(table, self.seed, first, last))
        return values[place]
