"""Next-item recommendation by leave-one-out: a history's last item is its test, the one before it its validation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from saccade.models.jagged import Jagged, Layout
from saccade.models.table import Table
from saccade.pipelines.batch import Batch
from saccade.pipelines.collective import Collective
from saccade.pipelines.examples import Examples, Values
from saccade.pipelines.metrics.ranking import RankMetrics, rank_targets
from saccade.pipelines.parquet.schema import Column
from saccade.pipelines.runs import Runs
from saccade.pipelines.shard import TableShard
from saccade.pipelines.task import Evaluation, Split
from saccade.pipelines.tasks.features import Feature, aligned, cut
from saccade.pipelines.tasks.negatives import ScoredLoss
from saccade.pipelines.tasks.objectives.next_token import NextToken
from saccade.pipelines.tasks.objectives.objective import Exercise, Objective

HELD_OUT: Mapping[Split, int] = {"train": 2, "valid": 2, "test": 1, "predict": 0}
"""Items at a history's end that a split's input must not hold."""

NEXT_TOKEN = NextToken()


class NextItem:
    """Predict an item of a history from others, and the one that follows it.

    Args:
        history: the list column with item ids in time order.
        max_length: a model sees at most this many items.
        items: rows of the item table; ids are 1 .. items - 1, and 0 is never recommended.
        build: makes the network: embedded items (Jagged [T, D]) -> [T, D]. It is given the side features as its second
            argument, where there are any, and which tokens are hidden as its last, where the objective hides some.
        dim: width of an item's embedding.
        standard_deviation: of the item table's initial values.
        loss: scores targets against negatives.
        ks: cut-offs of the ranking metrics.
        latest: the part of histories longer than max_length that are cut to their latest items; the others are cut at a
            random place, so that the older items are learned from too.
        objective: how a history becomes something to learn and to ask.
        times: the list column with each item's moment, for parts that look at time; None for none.
        features: what is known of the items besides their ids.
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
        objective: Objective = NEXT_TOKEN,
        times: str | None = None,
        features: Sequence[Feature] = (),
    ) -> None:
        self.history, self.max_length, self.items = history, max_length, items
        self.build, self.scored_loss, self.ks, self.latest = build, loss, list(ks), latest
        self.objective, self.times, self.features = objective, times, list(features)
        moments = [Column(times, "integers")] if times else []
        self.columns: Sequence[Column] = [Column(history, "integers"), *moments, *(f.needs for f in self.features)]
        own = Table("items", items, dim, ("history", "negatives"), standard_deviation)
        self.tables: Sequence[Table] = [own, *(f.table for f in self.features if f.table)]

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
        if self.times:
            columns["time"] = Runs(aligned(examples, self.times, history).values, kept.starts, lengths)
        for feature in self.features:
            columns |= feature.encode(examples, history, kept.starts, lengths)
        if split in ("valid", "test"):
            columns["target"] = history.values[kept.starts + lengths]
        # Training takes an item more of a history than it makes tokens, where each is asked for the next.
        more = -self.objective.beyond if split == "train" else self.objective.appended
        cost = lengths.clamp(max=self.max_length - more) + more
        return Examples(examples.rows[keep], columns, cost)

    def collate(self, examples: Examples, split: Split, generator: torch.Generator) -> Batch:
        """Training: tokens, targets and drawn negatives. Otherwise: the latest items, the target and all seen items."""
        history = examples.columns["history"]
        assert isinstance(history, Runs)
        if split == "train":
            shift, lengths = self._crop(history.lengths, generator)
            items = cut(history, shift, lengths).pack()
            exercise = self.objective.teach(items.layout, generator)
            assert exercise.wanted is not None
            wanted = items.values[exercise.wanted]
            negatives = self.scored_loss.draw(len(wanted), self.items, generator)
            inputs: dict[str, Tensor | Jagged | Layout] = {"target_index": exercise.wanted}
            expected = self.scored_loss.log_expected(negatives, wanted, self.items)
            if expected is not None:
                inputs["log_expected"] = expected
            targets = len(wanted)
        else:
            lengths = history.lengths.clamp(max=self.max_length - self.objective.appended)
            shift = history.lengths - lengths
            items = cut(history, shift, lengths).pack()
            exercise = self.objective.ask(items.layout)
            negatives, targets = torch.zeros(0, dtype=torch.int64), len(examples)
            inputs = {"seen": history.pack()}
            if split != "predict":
                inputs["target"] = examples.tensor("target")
        lookups = {"history": items.values, "negatives": negatives}
        for feature in self.features:
            ids, about = feature.collate(examples, shift, lengths, exercise)
            lookups, inputs = {**lookups, **ids}, {**inputs, **about}
        layout = self._tokens(examples, shift, lengths, exercise)
        inputs["layout"] = layout
        given = {"input_index": exercise.source, "hidden": exercise.hidden, "asked": exercise.asked}
        inputs |= {name: tensor for name, tensor in given.items() if tensor is not None}
        return Batch(lookups, inputs, targets, layout.total, examples.rows)

    def _crop(self, full: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Where training's part of each history begins in it, and its length."""
        lengths = full.clamp(max=self.max_length + self.objective.beyond)
        spare = full - lengths
        draw = torch.rand(2, len(full), generator=generator)
        return torch.where(draw[0] < self.latest, spare, (draw[1] * (spare + 1)).long().minimum(spare)), lengths

    def _tokens(self, examples: Examples, shift: Tensor, lengths: Tensor, exercise: Exercise) -> Layout:
        """The network's tokens, with their moments where those are known."""
        if not self.times:
            return Layout(exercise.lengths)
        column = examples.columns["time"]
        assert isinstance(column, Runs)
        time = cut(column, shift, lengths).pack().values
        return Layout(exercise.lengths, time=time if exercise.source is None else time[exercise.source])

    def forward(self, network: Callable[..., Tensor], embeddings: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """Training: [P, D] at the tokens that are asked. Otherwise: [B, D], what is to follow each history."""
        inputs = batch.inputs
        layout, index, asked, hidden = (inputs.get(name) for name in ("layout", "input_index", "asked", "hidden"))
        assert isinstance(layout, Layout)
        values = embeddings["history"][index] if isinstance(index, Tensor) else embeddings["history"]
        more: list[Any] = [] if hidden is None else [hidden]
        if self.features:
            more.insert(0, {feature.name: feature.value(embeddings, batch) for feature in self.features})
        output = network(Jagged(values, layout), *more)
        return output[asked] if isinstance(asked, Tensor) else output

    def loss(self, output: Tensor, embeddings: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """The sum over all targets of the loss of each."""
        index, expected = batch.inputs["target_index"], batch.inputs.get("log_expected")
        assert isinstance(index, Tensor)
        return self.scored_loss(
            output,
            embeddings["history"][index],
            embeddings["negatives"],
            batch.lookups["history"][index],
            batch.lookups["negatives"],
            expected if isinstance(expected, Tensor) else None,
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
