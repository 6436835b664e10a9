"""Values and their numbers: items, users or categories that are text or scattered integers, as rows of a table.

Counting keeps one entry a distinct value, however many rows there are. Encoding looks only the distinct values of an
array up, so that a value that comes often costs no more than its place in the result.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import types

from saccade.pipelines.errors import UserError
from saccade.pipelines.transforms.arrays import canonical, leaves, map_distinct

MERGE_AT = 1 << 20
"""Partial counts that are held before they are added up."""


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """Distinct values, numbered 1, 2, 3, … by how often they came; 0 stands for what isn't among them, and for padding.

    Attributes:
        values: [N] int64 or large_string; value i has the id i + 1.
        counts: [N] int64, how often each was seen; zeros where they weren't counted.
    """

    values: pa.Array
    counts: pa.Array

    def __len__(self) -> int:
        return len(self.values)

    @staticmethod
    def build(chunks: Iterable[pa.Array], *, min_count: int = 1) -> Vocabulary:
        """Count values and number them by descending count, equally frequent ones by value.

        Args:
            chunks: strings or integers, flat or in lists to any depth; nulls aren't counted. At least one chunk, which
                may be empty, because it says which of the two they are.
            min_count: rarer values are left out.

        Raises:
            UserError: values are neither strings nor integers, or are beyond int64; or both, in different chunks.
        """
        counts = Counts()
        for chunk in chunks:
            counts.add(chunk)
        return counts.vocabulary(min_count=min_count)

    def encode(self, array: pa.Array) -> pa.Array:
        """Ids in place of values: int64, flat or in lists (large_list) of the same lengths; 0 for unknown ones.

        Nulls stay null.

        Raises:
            UserError: the array holds strings and the vocabulary integers, or the other way round.
        """
        values, rebuild = leaves(array)
        return rebuild(map_distinct(values, self._encode))

    def _encode(self, values: pa.Array) -> pa.Array:
        if values.type != self.values.type:
            raise UserError(f"the vocabulary holds {_sort(self.values)}, but the column {_sort(values)}")
        places = pc.fill_null(pc.index_in(values, value_set=self.values), -1)
        ids = pc.add(places.cast(pa.int64()), 1)
        return pc.if_else(values.is_valid(), ids, None) if values.null_count else ids

    def decode(self, ids: pa.Array) -> pa.Array:
        """Values in place of ids (int64, flat): null for 0, and for what is beyond the vocabulary."""
        places = np.asarray(ids) - 1
        return self.values.take(pa.array(places, mask=(places < 0) | (places >= len(self))))

    def extended(self, more: Vocabulary) -> Vocabulary:
        """This one's values under their numbers, then those that only ``more`` has, in its order; counts are summed.

        Raises:
            UserError: one holds strings and the other integers.
        """
        if more.values.type != self.values.type:
            raise UserError(f"a vocabulary of {_sort(self.values)} can't be extended with {_sort(more.values)}")
        places = pc.index_in(more.values, value_set=self.values)
        counts = np.asarray(self.counts).copy()
        known = np.asarray(places.is_valid())
        counts[np.asarray(places.drop_null())] += np.asarray(more.counts)[known]
        new = pc.invert(places.is_valid())
        return Vocabulary(
            pa.concat_arrays([self.values, more.values.filter(new)]),
            pa.concat_arrays([pa.array(counts), more.counts.filter(new)]),
        )

    def extends(self, other: Vocabulary) -> bool:
        """Whether it numbers all of the other's values alike; it may have more."""
        return len(self) >= len(other) and bool(self.values.slice(0, len(other)).equals(other.values))

    @property
    def table(self) -> pa.Table:
        """The columns ``id``, ``value`` and ``count``."""
        ids = pa.array(np.arange(1, len(self) + 1))
        return pa.table({"id": ids, "value": self.values, "count": self.counts})

    def save(self, path: Path | str) -> None:
        """Write its table as one Parquet file."""
        pq.write_table(self.table, path, compression="zstd", write_page_checksum=True)

    @staticmethod
    def load(path: Path | str) -> Vocabulary:
        """Read what :meth:`save` wrote.

        Raises:
            UserError: the file is missing, damaged or no vocabulary.
        """
        try:
            table = pq.read_table(path, page_checksum_verification=True)
        except (OSError, pa.ArrowException) as error:
            raise UserError(f"vocabulary {path} can't be read ({str(error).splitlines()[0]})") from None
        return Vocabulary.from_table(table, str(path))

    @staticmethod
    def from_table(table: pa.Table, name: str) -> Vocabulary:
        """The vocabulary that has this ``table``; ``name`` is what messages call it.

        Raises:
            UserError: it isn't one.
        """
        if table.column_names != ["id", "value", "count"]:
            raise UserError(f"{name} is no vocabulary: it has the columns {', '.join(table.column_names)}")
        try:
            values, counts = canonical(_whole(table["value"])), _whole(table["count"]).cast(pa.int64())
        except (UserError, pa.ArrowException) as error:
            raise UserError(f"{name} is no vocabulary: {str(error).splitlines()[0]}") from None
        if not np.array_equal(np.asarray(table["id"]), np.arange(1, len(table) + 1)):
            raise UserError(f"{name} is no vocabulary: its ids aren't 1..{len(table)} in order")
        if values.null_count or pc.count_distinct(values).as_py() < len(values):
            raise UserError(f"{name} is no vocabulary: a value is null or there twice")
        return Vocabulary(values, counts)


class Counts:
    """How often each value has come, of the values seen so far."""

    def __init__(self) -> None:
        self._held: list[pa.Table] = []

    def add(self, chunk: pa.Array) -> None:
        """Count strings or integers, flat or in lists to any depth; nulls don't count.

        Raises:
            UserError: they are neither, or not of the same sort as those before.
        """
        counted = canonical(leaves(chunk)[0].drop_null()).value_counts()
        self._held.append(pa.table({"value": counted.field("values"), "count": counted.field("counts")}))
        first, last = self._held[0]["value"].type, self._held[-1]["value"].type
        if first != last:
            raise UserError("a vocabulary holds strings or integers, not both: choose columns of one sort")
        if sum(map(len, self._held[1:])) > max(MERGE_AT, len(self._held[0])):
            self._held = [_add_up(self._held)]

    def vocabulary(self, *, min_count: int = 1) -> Vocabulary:
        """The values numbered by descending count, equally frequent ones by value; those rarer left out."""
        if not self._held:
            raise ValueError("nothing was counted")
        table = _add_up(self._held)
        table = table.filter(pc.greater_equal(table["count"], min_count))
        table = table.sort_by([("count", "descending"), ("value", "ascending")])
        return Vocabulary(_whole(table["value"]), _whole(table["count"]))


def _add_up(counted: list[pa.Table]) -> pa.Table:
    """Partial counts as one."""
    table = pa.concat_tables(counted).group_by("value", use_threads=False).aggregate([("count", "sum")])
    return table.rename_columns({"count_sum": "count"})


def _whole(column: pa.ChunkedArray) -> pa.Array:
    """A column as one array."""
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)


def _sort(values: pa.Array) -> str:
    return "integers" if types.is_integer(values.type) else "strings"
