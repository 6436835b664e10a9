"""Next-item recommendation by leave-one-out: a history's last item is its test, the one before it its validation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from saccade.models.jagged import Jagged, Layout
from saccade.models.losses.full_softmax import FullSoftmax
from saccade.models.rows import take_rows
from saccade.models.table import Table
from saccade.pipelines.batch import Batch
from saccade.pipelines.collective import Collective
from saccade.pipelines.examples import Examples, Values
from saccade.pipelines.metrics.top_k import top_k as best
from saccade.pipelines.parquet.schema import Column
from saccade.pipelines.runs import Runs
from saccade.pipelines.scored_table import ScoredTable
from saccade.pipelines.shard import TableShard
from saccade.pipelines.task import Evaluation, Split
from saccade.pipelines.tasks.features import Feature, aligned, cut
from saccade.pipelines.tasks.holdout import Holdout, LeaveOneOut
from saccade.pipelines.tasks.negatives import ScoredLoss
from saccade.pipelines.tasks.objectives.next_token import NextToken
from saccade.pipelines.tasks.objectives.objective import Exercise, Objective
from saccade.pipelines.tasks.ranked_evaluation import Measures, RankedEvaluation

LEAVE_ONE_OUT = LeaveOneOut()
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
        loss: scores targets against negatives, or against all items.
        ks: cut-offs of the ranking metrics.
        measures: what evaluation measures, where it is more than the usual at ``ks``.
        holdout: what of a history is learned from, and what is to be found.
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
        loss: ScoredLoss | FullSoftmax,
        ks: Sequence[int],
        latest: float = 1.0,
        measures: Measures | None = None,
        holdout: Holdout = LEAVE_ONE_OUT,
        objective: Objective = NEXT_TOKEN,
        times: str | None = None,
        features: Sequence[Feature] = (),
    ) -> None:
        self.history, self.max_length, self.items = history, max_length, items
        self.build, self.scored_loss, self.ks, self.latest = build, loss, list(ks), latest
        self.measures, self.holdout = measures or Measures(ks=self.ks), holdout
        self.objective, self.times, self.features = objective, times, list(features)
        moments = [Column(times, "integers")] if times else []
        needed = [Column(history, "integers"), *holdout.columns, *moments, *(f.needs for f in self.features)]
        self.columns: Sequence[Column] = list({column.name: column for column in needed}.values())
        own = Table("items", items, dim, ("history", "negatives"), standard_deviation)
        self.tables: Sequence[Table] = [own, *(f.table for f in self.features if f.table)]

    def network(self) -> nn.Module:
        """A newly built network."""
        return self.build()

    def encode(self, examples: Examples, split: Split) -> Examples:
        """Hold out the items of later splits; drop histories too short to give this one anything."""
        history = examples.columns[self.history]
        assert isinstance(history, Jagged)
        held = self.holdout.cut(history, examples, split)
        keep = held.kept.nonzero().squeeze(1)
        lengths = held.lengths[keep]
        kept = Runs.of(history)[keep]
        # Views, cut once more and packed in collate: however long histories are, only what is used is copied.
        columns: dict[str, Values] = {"history": Runs(kept.values, kept.starts, lengths)}
        if self.times:
            columns["time"] = Runs(aligned(examples, self.times, history).values, kept.starts, lengths)
        for feature in self.features:
            columns |= feature.encode(examples, history, kept.starts, lengths)
        if split in ("valid", "test"):
            if self.holdout is LEAVE_ONE_OUT:
                columns["target"] = history.values[kept.starts + lengths]
            else:
                columns["relevant"] = Runs(kept.values, kept.starts + lengths, held.relevant[keep])
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
            inputs: dict[str, Tensor | Jagged | Layout] = {"target_index": exercise.wanted}
            negatives, targets = torch.zeros(0, dtype=torch.int64), len(wanted)
            if isinstance(self.scored_loss, ScoredLoss):
                negatives = self.scored_loss.draw(targets, self.items, generator)
                expected = self.scored_loss.log_expected(negatives, wanted, self.items)
                if expected is not None:
                    inputs["log_expected"] = expected
        else:
            lengths = history.lengths.clamp(max=self.max_length - self.objective.appended)
            shift = history.lengths - lengths
            items = cut(history, shift, lengths).pack()
            exercise = self.objective.ask(items.layout)
            negatives, targets = torch.zeros(0, dtype=torch.int64), len(examples)
            inputs = {"seen": history.pack()}
            relevant = examples.columns.get("relevant")
            if isinstance(relevant, Runs):
                inputs["relevant"] = relevant.pack()
            elif split != "predict":
                inputs["target"] = examples.tensor("target")
        lookups = {"history": items.values, "negatives": negatives}
        for feature in self.features:
            ids, about = feature.collate(examples, shift, lengths, exercise)
            lookups, inputs = {**lookups, **ids}, {**inputs, **about}
        layout = self._tokens(examples, shift, lengths, exercise)
        inputs["layout"] = layout if split == "train" else layout.for_last()
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
        history = embeddings["history"]
        values = take_rows(history, index) if isinstance(index, Tensor) else history
        more: list[Any] = [] if hidden is None else [hidden]
        if self.features:
            more.insert(0, {feature.name: feature.value(embeddings, batch) for feature in self.features})
        output = network(Jagged(values, layout), *more)
        return take_rows(output, asked) if isinstance(asked, Tensor) else output

    @property
    def scored_table(self) -> ScoredTable | None:
        """The items, where the loss scores all of them."""
        loss = self.scored_loss
        return ScoredTable("items", loss) if isinstance(loss, FullSoftmax) else None

    def queries(self, output: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """The outputs at the tokens that are asked, and the items that they are asked for."""
        index = batch.inputs["target_index"]
        assert isinstance(index, Tensor)
        return output, batch.lookups["history"][index]

    def loss(self, output: Tensor, embeddings: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """The sum over all targets of the loss of each, against negatives."""
        index, expected = batch.inputs["target_index"], batch.inputs.get("log_expected")
        assert isinstance(self.scored_loss, ScoredLoss)
        assert isinstance(index, Tensor)
        return self.scored_loss(
            output,
            take_rows(embeddings["history"], index),
            embeddings["negatives"],
            batch.lookups["history"][index],
            batch.lookups["negatives"],
            expected if isinstance(expected, Tensor) else None,
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
