"""Next-item recommendation by leave-one-out: a history's last item is its test, the one before it its validation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from saccade.models.jagged import Jagged, Layout
from saccade.models.losses.full_softmax import FullSoftmax
from saccade.models.table import Table
from saccade.pipelines.batch import Batch
from saccade.pipelines.collective import Collective
from saccade.pipelines.examples import Examples, Values
from saccade.pipelines.metrics.ranking import RankMetrics, rank_targets
from saccade.pipelines.parquet.schema import Column
from saccade.pipelines.runs import Runs
from saccade.pipelines.scored_table import ScoredTable
from saccade.pipelines.shard import TableShard
from saccade.pipelines.task import Evaluation, Split
from saccade.pipelines.tasks.negatives import ScoredLoss

HELD_OUT: Mapping[Split, int] = {"train": 2, "valid": 2, "test": 1, "predict": 0}
"""Items at a history's end that a split's input must not hold."""


class NextItem:
    """Predict each item of a history from those before it.

    Args:
        history: the list column with item ids in time order.
        max_length: a model sees at most this many items.
        items: rows of the item table; ids are 1 .. items - 1, and 0 is never recommended.
        build: makes the network: embedded items (Jagged [T, D]) -> [T, D].
        dim: width of an item's embedding.
        standard_deviation: of the item table's initial values.
        loss: scores targets against negatives, or against all items.
        ks: cut-offs of the ranking metrics.
        latest: the part of histories longer than max_length that are cut to their latest items; the others are cut at a
            random place, so that the older items are learned from too.
    """

    def __init__(
        self,
        *,
        history: str,
        max_length: int,
        items: int,
        build: Callable[[], nn.Module],
        dim: int,
        standard_deviation: float,
        loss: ScoredLoss | FullSoftmax,
        ks: Sequence[int],
        latest: float = 1.0,
    ) -> None:
        self.history, self.max_length, self.items = history, max_length, items
        self.build, self.scored_loss, self.ks, self.latest = build, loss, list(ks), latest
        self.columns: Sequence[Column] = [Column(history, "integers")]
        self.tables: Sequence[Table] = [Table("items", items, dim, ("history", "negatives"), standard_deviation)]

    def network(self) -> nn.Module:
        """A newly built network."""
        return self.build()

    def encode(self, examples: Examples, split: Split) -> Examples:
        """Hold out the items of later splits; drop histories too short to give this one anything."""
        history = examples.columns[self.history]
        assert isinstance(history, Jagged)
        full = history.layout.lengths
        keep = (full >= (4 if split == "train" else 1 if split == "predict" else 3)).nonzero().squeeze(1)
        lengths = full[keep] - HELD_OUT[split]
        kept = Runs.of(history)[keep]
        # Views, cut once more and packed in collate: however long histories are, only what is used is copied.
        columns: dict[str, Values] = {"history": Runs(kept.values, kept.starts, lengths)}
        if split in ("valid", "test"):
            columns["target"] = history.values[kept.starts + lengths]
        # A training history of n + 1 items gives n inputs with n targets.
        cost = lengths.clamp(max=self.max_length + 1) - 1 if split == "train" else lengths.clamp(max=self.max_length)
        return Examples(examples.rows[keep], columns, cost)

    def collate(self, examples: Examples, split: Split, generator: torch.Generator) -> Batch:
        """Training: inputs, targets and drawn negatives. Otherwise: the latest items, the target and all seen items."""
        history = examples.columns["history"]
        assert isinstance(history, Runs)
        if split == "train":
            return self._training_batch(self._crop(history, generator), examples.rows, generator)
        recent = history.last(self.max_length).pack()
        inputs: dict[str, Tensor | Jagged | Layout] = {"layout": recent.layout, "seen": history.pack()}
        if split != "predict":
            inputs["target"] = examples.tensor("target")
        lookups = {"history": recent.values, "negatives": torch.zeros(0, dtype=torch.int64)}
        return Batch(lookups, inputs, len(examples), recent.layout.total, examples.rows)

    def _crop(self, history: Runs, generator: torch.Generator) -> Jagged:
        lengths = history.lengths.clamp(max=self.max_length + 1)
        spare = history.lengths - lengths
        draw = torch.rand(2, len(history), generator=generator)
        start = torch.where(draw[0] < self.latest, spare, (draw[1] * (spare + 1)).long().minimum(spare))
        return Runs(history.values, history.starts + start, lengths).pack()

    def _training_batch(self, history: Jagged, rows: Tensor, generator: torch.Generator) -> Batch:
        layout = Layout(history.layout.lengths - 1)
        # Token i of example b predicts the item after it: each example has one item more than it has inputs.
        input_index = torch.arange(layout.total) + layout.example
        draws = self.scored_loss.draws(layout.total) if isinstance(self.scored_loss, ScoredLoss) else 0
        negatives = torch.randint(1, self.items, (draws,), generator=generator)
        inputs: dict[str, Tensor | Jagged | Layout] = {"layout": layout, "input_index": input_index}
        lookups = {"history": history.values, "negatives": negatives}
        return Batch(lookups, inputs, layout.total, layout.total, rows)

    def forward(self, network: Callable[..., Tensor], embeddings: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """Training: [T, D] at every input token. Otherwise: [B, D] at each example's last item."""
        layout, index = batch.inputs["layout"], batch.inputs.get("input_index")
        assert isinstance(layout, Layout)
        if isinstance(index, Tensor):
            return network(Jagged(embeddings["history"][index], layout))
        return network(Jagged(embeddings["history"], layout))[layout.last]

    @property
    def scored_table(self) -> ScoredTable | None:
        """The items, where the loss scores all of them."""
        loss = self.scored_loss
        return ScoredTable("items", loss) if isinstance(loss, FullSoftmax) else None

    def queries(self, output: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """Every input token's output, and the item that follows it."""
        index = batch.inputs["input_index"]
        assert isinstance(index, Tensor)
        return output, batch.lookups["history"][index + 1]

    def loss(self, output: Tensor, embeddings: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """The sum over all input tokens of the loss of the item that follows, against negatives."""
        index = batch.inputs["input_index"]
        assert isinstance(self.scored_loss, ScoredLoss)
        assert isinstance(index, Tensor)
        target_index = index + 1
        return self.scored_loss(
            output,
            embeddings["history"][target_index],
            embeddings["negatives"],
            batch.lookups["history"][target_index],
            batch.lookups["negatives"],
        )

    def evaluation(
        self, split: Split, collective: Collective, shards: Callable[[str], Sequence[TableShard]]
    ) -> Evaluation:
        """HR@K, NDCG@K and MRR by full ranking, seen items left out, ties counted against the model."""
        return _LeaveOneOut(self, collective, shards)

    def predict(
        self, output: Tensor, batch: Batch, shards: Callable[[str], Sequence[TableShard]], top_k: int
    ) -> dict[str, Tensor]:
        """``items`` and ``scores`` [N, top_k]: the best items that are not in the row's history, best first."""
        seen = batch.inputs["seen"]
        assert isinstance(seen, Jagged)
        (items,) = shards("items")
        scores = output.float() @ items.weight.float().T
        scores[seen.layout.example, seen.values] = float("-inf")
        scores[:, 0] = float("-inf")
        best = scores.topk(min(top_k, self.items - 1), dim=1)
        return {"items": best.indices, "scores": best.values}


class _LeaveOneOut:
    def __init__(self, task: NextItem, collective: Collective, shards: Callable[[str], Sequence[TableShard]]) -> None:
        self.metrics = RankMetrics(task.ks, task.items)
        self.items, self.collective, self.shards = task.items, collective, shards

    def update(self, output: Tensor, batch: Batch) -> None:
        target, seen = batch.inputs["target"], batch.inputs["seen"]
        assert isinstance(target, Tensor)
        assert isinstance(seen, Jagged)
        ranks = rank_targets(output, target, seen, self.shards("items"), self.items, self.collective, padding_rows=1)
        self.metrics.update(ranks)

    def result(self) -> dict[str, float]:
        return self.metrics.result(self.collective)

    def report(self) -> dict[str, Any]:
        return {}
