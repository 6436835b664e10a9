"""Click prediction: how likely a row's label is, from its features and from what its user did before.

The field's name for it is click-through rate. A row is an impression: something, the target, was shown to somebody.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from saccade.models.jagged import Jagged, Layout
from saccade.models.recommendation.impressions import Contrast, Impressions
from saccade.models.table import Table
from saccade.pipelines.batch import Batch
from saccade.pipelines.collective import Collective
from saccade.pipelines.errors import UserError
from saccade.pipelines.examples import Examples, Values
from saccade.pipelines.metrics.binary import BinaryMetrics
from saccade.pipelines.parquet.schema import Column, Kind
from saccade.pipelines.runs import Runs
from saccade.pipelines.shard import TableShard
from saccade.pipelines.task import Evaluation, Split

FeatureType = Literal["id", "ids", "number"]
COLUMN_KINDS: Mapping[FeatureType, Kind] = {"id": "integer", "ids": "integers", "number": "number"}

OTHERS = "other items"
"""The look-up of the items that an auxiliary loss sets against those of the history; features have no blanks."""

USER = "user of the row"
"""The column of a window's rows that has their users."""

HISTORY_LENGTHS = (0, 1, 10, 50)
"""Where the ranges begin by which an evaluation slices its rows."""


@dataclass(frozen=True)
class Feature:
    """A feature of a row.

    Attributes:
        column: where it is; an ``id`` or ``ids`` has a table of this name.
        type: ``id`` (an integer), ``ids`` (a list of them) or ``number``. A null is 0: of ids the row for what is
            unknown, of numbers the mean where they are standardised.
        rows: of its table; ids are 0 .. rows - 1.
    """

    column: str
    type: FeatureType
    rows: int = 0


@dataclass(frozen=True)
class Event:
    """A feature of the events of a history; an event's vector is the sum of its features'.

    Attributes:
        column: a list of ids, one an event, the oldest first.
        target: the ``id`` feature that says the same of the target, whose table it shares; None for a feature that only
            events have, with a table of its own.
        rows: of a table of its own.
    """

    column: str
    target: str | None = None
    rows: int = 0


@dataclass(frozen=True)
class Search:
    """The first of two stages over long histories: keep the events that have the target's category.

    ("Search-based User Interest Modeling with Lifelong Sequential Behavior Data for Click-Through Rate Prediction", Pi
    et al. 2020, section 3.1, hard search.)

    Attributes:
        column: the categories of the events: a list of integers.
        target: the target's category: an integer.
    """

    column: str
    target: str


@dataclass(frozen=True)
class History:
    """What the user did before.

    Attributes:
        events: features; at least one has a target.
        max_length: only so many of the latest events are used, of those that a search leaves.
        search: the first stage of two, or None.
    """

    events: Sequence[Event]
    max_length: int
    search: Search | None = None

    @property
    def items(self) -> Event:
        """The first of the events' features that the target has too: what an auxiliary loss tells apart."""
        return next(event for event in self.events if event.target is not None)


class Ctr:
    """Predict labels of 0 and 1.

    Args:
        labels: the integer columns with them; they aren't read where rows are only to be predicted.
        features: of a row; at least one of ids.
        history: what the user did before, or None.
        user: the integer column by which the evaluation groups rows, or None.
        build: makes the network: Impressions -> [B, labels] logits, in training [B, labels + 1] where it has an
            auxiliary loss, which stands in the last column.
        dim: width of every table.
        standard_deviations: of the initial values, by table.
        auxiliary: what the auxiliary loss counts for; None for a network that has none.
        resamples: of the bootstrap intervals of a test.
    """

    def __init__(
        self,
        *,
        labels: Sequence[str],
        features: Sequence[Feature],
        history: History | None,
        user: str | None,
        build: Callable[[], nn.Module],
        dim: int,
        standard_deviations: Mapping[str, float],
        auxiliary: float | None = None,
        resamples: int = 0,
    ) -> None:
        self.labels, self.features, self.history, self.user = list(labels), list(features), history, user
        self.build, self.auxiliary, self.resamples = build, auxiliary, resamples
        self.ids = [feature for feature in features if feature.type != "number"]
        self.numbers = [feature.column for feature in features if feature.type == "number"]
        self.events = list(history.events) if history else []
        self.columns: Sequence[Column] = list(self._columns().values())
        self.tables: Sequence[Table] = self._tables(dim, standard_deviations)

    def _columns(self) -> dict[str, Column]:
        """By name, each once: a category that is searched for may be a feature as well."""
        found = {f.column: Column(f.column, COLUMN_KINDS[f.type], 0) for f in self.features}
        found |= {event.column: Column(event.column, "integers", 0) for event in self.events}
        if self.history and self.history.search:
            search = self.history.search
            found = {
                search.column: Column(search.column, "integers", 0),
                search.target: Column(search.target, "integer", 0),
                **found,
            }
        others = [*self.labels, *([self.user] if self.user else [])]
        return found | {name: Column(name, "integer") for name in others if name not in found}

    def _tables(self, dim: int, standard_deviations: Mapping[str, float]) -> list[Table]:
        tables = []
        for feature in self.ids:
            shared = [event.column for event in self.events if event.target == feature.column]
            if self.auxiliary is not None and self.history and self.history.items.target == feature.column:
                shared.append(OTHERS)
            streams = (feature.column, *shared)
            tables.append(Table(feature.column, feature.rows, dim, streams, standard_deviations[feature.column]))
        for event in self.events:
            if event.target is None:
                deviation = standard_deviations[event.column]
                tables.append(Table(event.column, event.rows, dim, (event.column,), deviation))
        return tables

    def network(self) -> nn.Module:
        """A newly built network."""
        return self.build()

    def encode(self, examples: Examples, split: Split) -> Examples:
        """Histories cut to their latest events, the dearest part of a row; every row is kept."""
        columns: dict[str, Values] = {feature.column: examples.columns[feature.column] for feature in self.features}
        if split != "predict":
            columns |= {label: examples.columns[label] for label in self.labels}
        if split in ("valid", "test") and self.user:
            columns[USER] = examples.columns[self.user]
        cost = torch.ones_like(examples.rows)
        if self.history:
            histories = self._histories(examples, self.history)
            columns |= histories
            cost = cost + next(iter(histories.values())).lengths
        return Examples(examples.rows, columns, cost)

    def _histories(self, examples: Examples, history: History) -> dict[str, Runs]:
        """The latest events of each row, feature by feature."""
        names = [event.column for event in history.events]
        found = {name: examples.columns[name] for name in names}
        if history.search:
            names.append(history.search.column)
            found[names[-1]] = examples.columns[names[-1]]
        jagged = {name: column for name, column in found.items() if isinstance(column, Jagged)}
        first = jagged[names[0]]
        for name in names[1:]:
            other = jagged[name].layout.lengths
            if not torch.equal(other, first.layout.lengths):
                at = int((other != first.layout.lengths).nonzero()[0])
                raise UserError(
                    f"row {int(examples.rows[at])}: {names[0]!r} has {int(first.layout.lengths[at])} events and "
                    f"{name!r} {int(other[at])}: the columns of data.history need one value an event each"
                )
        if history.search:
            wanted = examples.tensor(history.search.target)[first.layout.example]
            kept = jagged[history.search.column].values == wanted
            layout = Layout(torch.bincount(first.layout.example[kept], minlength=len(first)))
            jagged = {name: Jagged(column.values[kept], layout) for name, column in jagged.items()}
        columns = [event.column for event in history.events]
        return {name: Runs.of(jagged[name]).last(history.max_length) for name in columns}

    def collate(self, examples: Examples, split: Split, generator: torch.Generator) -> Batch:
        """Ids to look up, the layouts of lists, numbers [B, F], labels [B, L] and, for evaluation, users."""
        lookups: dict[str, Tensor] = {}
        inputs: dict[str, Tensor | Jagged | Layout] = {}
        for feature in self.ids:
            column = examples.columns[feature.column]
            if isinstance(column, Jagged):
                inputs[f"layout of {feature.column}"] = column.layout
            assert not isinstance(column, Runs)
            lookups[feature.column] = column if isinstance(column, Tensor) else column.values
        inputs["numbers"] = _side_by_side(examples, self.numbers)
        events = len(examples)
        layout = Layout(torch.zeros(0, dtype=torch.int64))
        for event in self.events:
            runs = examples.columns[event.column]
            assert isinstance(runs, Runs)
            packed = runs.pack()
            lookups[event.column], layout = packed.values, packed.layout
        if self.history:
            inputs["history"] = layout
            events += layout.total
        if self.auxiliary is not None and self.history:
            rows = next(f.rows for f in self.ids if f.column == self.history.items.target)
            # Layouts say which rows drawn items belong to; without one, in evaluation, there is no auxiliary loss.
            drawn = layout.total if split == "train" else 0
            inputs |= {OTHERS: layout} if split == "train" else {}
            lookups[OTHERS] = torch.randint(min(1, rows - 1), rows, (drawn,), generator=generator)
        if split != "predict":
            inputs["labels"] = _side_by_side(examples, self.labels)
        if USER in examples.columns:
            inputs["user"] = examples.tensor(USER)
        return Batch(lookups, inputs, len(examples) * len(self.labels), events, examples.rows)

    def forward(self, network: Callable[..., Tensor], embeddings: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """The network's output, see ``build``."""
        features: list[Tensor | Jagged] = []
        for feature in self.ids:
            layout = batch.inputs.get(f"layout of {feature.column}")
            vectors = embeddings[feature.column]
            features.append(Jagged(vectors, layout) if isinstance(layout, Layout) else vectors)
        numbers = batch.inputs["numbers"]
        assert isinstance(numbers, Tensor)
        if self.history is None:
            return network(Impressions(features, numbers))
        layout = batch.inputs["history"]
        assert isinstance(layout, Layout)
        target = _sum([embeddings[event.target] for event in self.events if event.target is not None])
        history = Jagged(_sum([embeddings[event.column] for event in self.events]), layout)
        contrast = None
        if OTHERS in batch.inputs:
            contrast = Contrast(embeddings[self.history.items.column], embeddings[OTHERS])
        return network(Impressions(features, numbers, target, history, contrast))

    def loss(self, output: Tensor, embeddings: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """Binary cross-entropy summed over rows and labels, and the auxiliary loss for each label."""
        labels = batch.inputs["labels"]
        assert isinstance(labels, Tensor)
        count = len(self.labels)
        clicks = binary_cross_entropy_with_logits(output[:, :count].float(), labels, reduction="sum")
        if self.auxiliary is None:
            return clicks
        return clicks + self.auxiliary * count * output[:, count:].float().sum()

    def evaluation(
        self, split: Split, collective: Collective, shards: Callable[[str], Sequence[TableShard]]
    ) -> Evaluation:
        """AUC, GAUC by user, log loss, NE, calibration of each label; slices by the length of histories."""
        return _Clicks(self, collective, self.resamples if split == "test" else 0)

    def predict(
        self, output: Tensor, batch: Batch, shards: Callable[[str], Sequence[TableShard]], top_k: int
    ) -> dict[str, Tensor]:
        """``probability`` [N]; with several labels ``probability_LABEL`` for each."""
        chances = output.float().sigmoid().unbind(1)
        if len(self.labels) == 1:
            return {"probability": chances[0]}
        return {f"probability_{label}": chance for label, chance in zip(self.labels, chances, strict=True)}


class _Clicks:
    """Measures each label; several have their names before the metrics, and the mean of each metric besides."""

    def __init__(self, task: Ctr, collective: Collective, resamples: int) -> None:
        edges = [*(f"{low}-{high - 1}" for low, high in pairwise(HISTORY_LENGTHS)), f"{HISTORY_LENGTHS[-1]}+"]
        slices = {"history_length": ["0", *edges[1:]]} if task.history else {}
        self.labels = task.labels
        self.metrics = [
            BinaryMetrics(collective, grouped=task.user is not None, slices=slices, resamples=resamples)
            for _ in task.labels
        ]

    def update(self, output: Tensor, batch: Batch) -> None:
        labels, user, layout = (batch.inputs.get(name) for name in ("labels", "user", "history"))
        assert isinstance(labels, Tensor)
        slices = None
        if isinstance(layout, Layout):
            length = torch.bucketize(layout.lengths, torch.tensor(HISTORY_LENGTHS), right=True) - 1
            slices = {"history_length": length}
        for place, metrics in enumerate(self.metrics):
            users = user if isinstance(user, Tensor) else None
            metrics.update(output[:, place], labels[:, place], batch.rows, groups=users, slices=slices)

    def result(self) -> dict[str, float]:
        found = [metrics.result() for metrics in self.metrics]
        if len(found) == 1:
            return found[0]
        each = {f"{label}_{k}": v for label, one in zip(self.labels, found, strict=True) for k, v in one.items()}
        return {name: sum(one[name] for one in found) / len(found) for name in found[0]} | each

    def report(self) -> dict[str, Any]:
        found = [metrics.report() for metrics in self.metrics]
        return found[0] if len(found) == 1 else {"labels": dict(zip(self.labels, found, strict=True))}


def _side_by_side(examples: Examples, columns: Sequence[str]) -> Tensor:
    """[B, columns] float32."""
    found = [examples.tensor(name).float() for name in columns]
    return torch.stack(found, 1) if found else torch.zeros(len(examples), 0)


def _sum(vectors: Sequence[Tensor]) -> Tensor:
    total = vectors[0]
    for vector in vectors[1:]:
        total = total + vector
    return total
