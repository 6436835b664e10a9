"""What is known of a history's items besides their ids: columns that run beside it, one value or list an item."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor

from saccade.models.jagged import Jagged, Layout
from saccade.models.segments import segment_mean
from saccade.models.table import Table
from saccade.pipelines.batch import Batch
from saccade.pipelines.examples import Examples, Values
from saccade.pipelines.parquet.schema import Column, Kind
from saccade.pipelines.runs import Runs
from saccade.pipelines.tasks.objectives.objective import Exercise

FeatureKind = Literal["id", "ids", "number"]
KINDS: Mapping[FeatureKind, Kind] = {"id": "integers", "ids": "integer_lists", "number": "floats"}


@dataclass(frozen=True)
class Feature:
    """A side feature of items, at the network's input.

    Attributes:
        column: the list column: in each row as many values as the history has items.
        kind: an ``id`` an item, a list of ``ids`` (the mean of their rows; none gives zeros), or a ``number``.
        rows: of the table of an id's vectors; nulls are its row 0.
        dim: width of those vectors.
        standard_deviation: of their initial values.
    """

    column: str
    kind: FeatureKind
    rows: int = 0
    dim: int = 0
    standard_deviation: float = 0.02

    @property
    def name(self) -> str:
        """Of its table, its look-ups and its place in the network."""
        return f"feature_{self.column}"

    @cached_property
    def needs(self) -> Column:
        """The column with the type that it must have."""
        return Column(self.column, KINDS[self.kind], 0.0 if self.kind == "number" else 0)

    @property
    def table(self) -> Table | None:
        """The table of its ids' vectors; None for numbers."""
        if self.kind == "number":
            return None
        return Table(self.name, self.rows, self.dim, (self.name,), self.standard_deviation)

    def encode(self, examples: Examples, history: Jagged, starts: Tensor, lengths: Tensor) -> dict[str, Values]:
        """Its columns of rows whose histories' parts begin at ``starts`` of all items and have these lengths."""
        if self.kind != "ids":
            return {self.name: Runs(aligned(examples, self.column, history).values, starts, lengths)}
        flat = examples.columns[self.column]
        assert isinstance(flat, Jagged)
        each = Layout(aligned(examples, f"{self.column}.lengths", history).values)
        nowhere = torch.zeros_like(starts)
        return {
            self.name: Runs(flat.values, nowhere, nowhere),  # only carries the values: lists say where theirs lie
            f"{self.name}.starts": Runs(each.host_offsets[:-1], starts, lengths),
            f"{self.name}.lengths": Runs(each.lengths, starts, lengths),
        }

    def collate(
        self, examples: Examples, shift: Tensor, lengths: Tensor, exercise: Exercise
    ) -> tuple[dict[str, Tensor], dict[str, Tensor | Jagged | Layout]]:
        """What to look up and what the network gets of a micro-batch's tokens.

        Args:
            examples: encoded.
            shift: [B] where the used part of each history begins in it.
            lengths: [B] its length.
            exercise: which of its items become tokens.
        """

        def tokens(name: str) -> Tensor:
            column = examples.columns[name]
            assert isinstance(column, Runs)
            values = cut(column, shift, lengths).pack().values
            return values if exercise.source is None else values[exercise.source]

        if self.kind == "number":
            return {}, {self.name: tokens(self.name)}
        if self.kind == "id":
            return {self.name: tokens(self.name)}, {}
        flat = examples.columns[self.name]
        assert isinstance(flat, Runs)
        ids = Runs(flat.values, tokens(f"{self.name}.starts"), tokens(f"{self.name}.lengths")).pack()
        return {self.name: ids.values}, {self.name: ids.layout}

    def of_no_tokens(self) -> tuple[dict[str, Tensor], dict[str, Tensor | Jagged | Layout]]:
        """What :meth:`collate` gives of a micro-batch without tokens."""
        nothing = torch.zeros(0, dtype=torch.int64)
        if self.kind == "number":
            return {}, {self.name: nothing.float()}
        return {self.name: nothing}, {self.name: Layout(nothing)} if self.kind == "ids" else {}

    def value(self, embeddings: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """[T, dim] of each token, or [T] for numbers."""
        given = batch.inputs.get(self.name)
        if self.kind == "ids":
            assert isinstance(given, Layout)
            return segment_mean(embeddings[self.name], given)
        if self.kind == "id":
            return embeddings[self.name]
        assert isinstance(given, Tensor)
        return given


def cut(column: Runs, shift: Tensor, lengths: Tensor) -> Runs:
    """Of each row so many values, from so many behind its first on."""
    return Runs(column.values, column.starts + shift, lengths)


def aligned(examples: Examples, column: str, history: Jagged) -> Jagged:
    """A column that runs beside the history.

    Raises:
        ValueError: in some row it has another length; names the first.
    """
    found = examples.columns[column]
    assert isinstance(found, Jagged)
    different = (found.layout.lengths != history.layout.lengths).nonzero()
    if different.numel():
        row = int(different[0])
        raise ValueError(
            f"row {int(examples.rows[row])}: {column} has {int(found.layout.lengths[row])} values, "
            f"but the history {int(history.layout.lengths[row])} items"
        )
    return found
