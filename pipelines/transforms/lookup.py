"""Ids by a vocabulary."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from saccade.pipelines.errors import UserError
from saccade.pipelines.parquet.schema import is_list
from saccade.pipelines.transforms.arrays import keep, leaves
from saccade.pipelines.transforms.one_column import OneColumn
from saccade.pipelines.vocabulary import Counts, Vocabulary


@dataclass(frozen=True)
class Lookup(OneColumn):
    """The number that a vocabulary gives a value.

    Takes strings (of any encoding) or integers, flat or in lists, and gives int64: the vocabulary's values count from
    ``first``, what it doesn't have is 0, left out of its list, or an error. Nulls stay null.

    Attributes:
        vocabulary: the values.
        unknown: what a value that isn't in it becomes.
        first: the first value's id, 1 or 0; 0 leaves no id for unknown values.
    """

    vocabulary: Vocabulary
    unknown: str = "zero"
    first: int = 1

    @property
    def ids(self) -> int | None:
        """The vocabulary's size, and 0."""
        return len(self.vocabulary) + self.first

    def __call__(self, *columns: pa.Array) -> tuple[pa.Array, ...]:
        """The column's ids."""
        values, rebuild = leaves(columns[0])
        ids = self.vocabulary.encode(values)
        if self.unknown == "error" and (row := pc.index(ids, 0).as_py()) >= 0:
            raise UserError(
                f"the value {values[row].as_py()!r} isn't in the vocabulary of {len(self.vocabulary)}: "
                "set unknown to zero or drop, or make the vocabulary from data that have it"
            )
        numbered = ids if self.first == 1 else pc.subtract(ids, 1)
        if self.unknown == "drop":
            if not is_list(columns[0].type) or is_list(columns[0].type.value_type):
                raise UserError(f"unknown=drop leaves values out of lists, but it has type {columns[0].type}")
            return (keep(columns[0], numbered, np.asarray(pc.fill_null(pc.not_equal(ids, 0), True))),)
        return (rebuild(numbered),)


class LookupFit:
    """Learns a vocabulary.

    Args:
        min_count: rarer values are left out.
    """

    def __init__(self, min_count: int) -> None:
        self.min_count, self._counts = min_count, Counts()

    def add(self, column: pa.Array) -> None:
        """Count some values."""
        self._counts.add(column)

    def result(self) -> pa.Table:
        """The vocabulary as a table."""
        vocabulary = self._counts.vocabulary(min_count=self.min_count)
        if not len(vocabulary):
            raise UserError("there is no value to make a vocabulary of" + " often enough" * (self.min_count > 1))
        return vocabulary.table
