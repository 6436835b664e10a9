"""What a task is to the reader, the engines and the loop: everything that knows which problem is being solved."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn

from saccade.models.table import Table
from saccade.pipelines.batch import Batch
from saccade.pipelines.collective import Collective
from saccade.pipelines.examples import Examples
from saccade.pipelines.parquet.schema import Column
from saccade.pipelines.shard import TableShard

Split = Literal["train", "valid", "test", "predict"]


class Evaluation(Protocol):
    """Collects the outputs of one pass over a split; the same on any number of workers."""

    def update(self, output: Tensor, batch: Batch) -> None:
        """Add one micro-batch's output. A collective: every rank calls it equally often, if need be with none."""

    def result(self) -> dict[str, float]:
        """The metrics by name without the split (``ndcg@10``, ``accuracy``), equal on every rank. A collective."""

    def report(self) -> dict[str, Any]:
        """More for the run's result, as JSON values (a table by classes, …); empty where there is nothing to add."""


class Task(Protocol):
    """One problem: which columns it reads, which tables and network it learns, its loss and its metrics.

    A row travels one way: ``encode`` (a window of rows) -> ``collate`` (a micro-batch) -> tables -> ``forward`` ->
    ``loss`` or an evaluation. A loss against every row of a table is the engine's to compute: see
    :class:`saccade.pipelines.scored_table.ScoresTable`.
    """

    @property
    def columns(self) -> Sequence[Column]:
        """The columns it reads, with the types it takes."""

    @property
    def tables(self) -> Sequence[Table]:
        """The embedding tables; empty for a model without any."""

    def network(self) -> nn.Module:
        """A newly built network, initialised from torch's global generator."""

    def encode(self, examples: Examples, split: Split) -> Examples:
        """Turn decoded rows into the model's units, drop rows that give nothing to learn, and set ``lengths``."""

    def collate(self, examples: Examples, split: Split, generator: torch.Generator) -> Batch:
        """A micro-batch of encoded rows, possibly none; all randomness (negatives, …) comes from ``generator``.

        Without rows it looks nothing up: weight decay and momentum change every row that is looked up, and how many
        empty micro-batches there are depends on the number of workers.
        """

    def forward(self, network: Callable[..., Tensor], embeddings: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """The network's output. ``embeddings`` has [n, dim] for each feature of ``batch.lookups``."""

    def loss(self, output: Tensor, embeddings: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """The scalar sum of the loss over ``batch.targets`` terms."""

    def evaluation(
        self, split: Split, collective: Collective, shards: Callable[[str], Sequence[TableShard]]
    ) -> Evaluation:
        """A fresh collector; ``shards(table)`` gives the parts of a table that this rank holds."""

    def predict(
        self, output: Tensor, batch: Batch, shards: Callable[[str], Sequence[TableShard]], top_k: int
    ) -> dict[str, Tensor]:
        """What an output says of each row, as columns of [N] or [N, top_k]; the tables are whole in ``shards``."""
