"""Next-item recommendation by leave-one-out: a history's last item is its test, the one before it its validation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from saccade.models.jagged import Jagged, Layout
from saccade.models.table import Table
from saccade.pipelines.batch import Batch
from saccade.pipelines.collective import Collective
from saccade.pipelines.examples import Examples, Values
from saccade.pipelines.metrics.top_k import top_k as best
from saccade.pipelines.parquet.schema import Column
from saccade.pipelines.runs import Runs
from saccade.pipelines.shard import TableShard
from saccade.pipelines.task import Evaluation, Split
from saccade.pipelines.tasks.holdout import Holdout, LeaveOneOut
from saccade.pipelines.tasks.negatives import ScoredLoss
from saccade.pipelines.tasks.ranked_evaluation import Measures, RankedEvaluation

HELD_OUT: Mapping[Split, int] = {"train": 2, "valid": 2, "test": 1, "predict": 0}
"""Items at a history's end that a split's input must not hold."""

LEAVE_ONE_OUT = LeaveOneOut()


class NextItem:
    """Predict each item of a history from those before it.

    Args:
        history: the list column with item ids in time order.
        max_length: a model sees at most this many items.
        items: rows of the item table; ids are 1 .. items - 1, and 0 is never recommended.
        build: makes the network: embedded items (Jagged [T, D]) -> [T, D].
        dim: width of an item's embedding.
        standard_deviation: of the item table's initial values.
        loss: scores targets against negatives.
        ks: cut-offs of the ranking metrics.
        measures: what evaluation measures, where it is more than the usual at ``ks``.
        holdout: what of a history is learned from, and what is to be found.
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
        loss: ScoredLoss,
        ks: Sequence[int],
        latest: float = 1.0,
        measures: Measures | None = None,
        holdout: Holdout = LEAVE_ONE_OUT,
    ) -> None:
        self.history, self.max_length, self.items = history, max_length, items
        self.build, self.scored_loss, self.ks, self.latest = build, loss, list(ks), latest
        self.measures = measures or Measures(ks=self.ks)
        self.holdout = holdout
        self.columns: Sequence[Column] = [Column(history, "integers"), *holdout.columns]
        self.tables: Sequence[Table] = [Table("items", items, dim, ("history", "negatives"), standard_deviation)]

    def network(self) -> nn.Module:
        """A newly built network."""
        return self.build()

    def encode(self, examples: Examples, split: Split) -> Examples:
        """Hold out the items of later splits; drop histories too short to give this one anything."""
        history = examples.columns[self.history]
        assert isinstance(history, Jagged)
        cut = self.holdout.cut(history, examples, split)
        keep = cut.kept.nonzero().squeeze(1)
        lengths = cut.lengths[keep]
        kept = Runs.of(history)[keep]
        # Views, cut once more and packed in collate: however long histories are, only what is used is copied.
        columns: dict[str, Values] = {"history": Runs(kept.values, kept.starts, lengths)}
        if split in ("valid", "test"):
            if self.holdout is LEAVE_ONE_OUT:
                columns["target"] = history.values[kept.starts + lengths]
            else:
                columns["relevant"] = Runs(kept.values, kept.starts + lengths, cut.relevant[keep])
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
        relevant = examples.columns.get("relevant")
        if isinstance(relevant, Runs):
            inputs["relevant"] = relevant.pack()
        elif split != "predict":
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
        negatives = torch.randint(1, self.items, (self.scored_loss.draws(layout.total),), generator=generator)
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

    def loss(self, output: Tensor, embeddings: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """The sum over all input tokens of the loss of the item that follows."""
        index = batch.inputs["input_index"]
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
        """Full ranking, seen items left out, ties counted against the model."""
        return RankedEvaluation(self.measures, self.items, collective, shards)

    def predict(
        self, output: Tensor, batch: Batch, shards: Callable[[str], Sequence[TableShard]], top_k: int
    ) -> dict[str, Tensor]:
        """``items`` and ``scores`` [N, top_k]: the best items that are not in the row's history, best first."""
        return self.recommend(output, batch, shards, top_k)

    def recommend(
        self,
        output: Tensor,
        batch: Batch,
        shards: Callable[[str], Sequence[TableShard]],
        top_k: int,
        *,
        keep_seen: bool = False,
        allowed: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """See :class:`saccade.pipelines.inference.recommends.Recommends`."""
        seen = batch.inputs["seen"]
        assert isinstance(seen, Jagged)
        hidden = Jagged(seen.values[:0], Layout(torch.zeros_like(seen.layout.lengths))) if keep_seen else seen
        chosen = None
        if allowed is not None:
            chosen = torch.zeros(self.items, dtype=torch.bool)
            chosen[allowed] = True
        most, table = min(top_k, self.items - 1), shards("items")
        ids, scores = best(output, most, hidden, table, self.items, Collective(), padding_rows=1, allowed=chosen)
        return {"items": ids, "scores": scores}

    def score(self, output: Tensor, items: Tensor, shards: Callable[[str], Sequence[TableShard]]) -> Tensor:
        """See :class:`saccade.pipelines.inference.recommends.Recommends`."""
        (table,) = shards("items")
        return output.float() @ table.weight[items].float().T
