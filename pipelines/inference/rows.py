"""Histories as people have them, lists or Arrow tables, as the rows that a task encodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch

from saccade.pipelines.errors import UserError
from saccade.pipelines.examples import Examples
from saccade.pipelines.parquet import schema
from saccade.pipelines.parquet.decode import NullFound, decode
from saccade.pipelines.parquet.schema import Column
from saccade.pipelines.transforms.arrays import canonical, keep, leaves
from saccade.pipelines.transforms.chain import Chain, Step
from saccade.pipelines.transforms.lookup import Lookup
from saccade.pipelines.vocabulary import Vocabulary

Item = int | str
Unknown = Literal["zero", "drop", "error"]
"""What becomes of an item that the model doesn't know: row 0 of the table, nothing, or an error that names it."""

Histories: TypeAlias = "Sequence[Sequence[Item]] | pa.Table | pa.RecordBatch"
"""One history an entry, or rows with the columns that the model was trained on."""


@dataclass(frozen=True, eq=False)
class RowMaker:
    """Makes rows as training had them, and knows the items by the names that the data have for them.

    Attributes:
        columns: that the task reads.
        history: which of them has the items.
        items: ids are below this.
        transforms: of the job, as they were fitted.
    """

    columns: Sequence[Column]
    history: str
    items: int
    transforms: Chain

    @cached_property
    def vocabulary(self) -> tuple[Vocabulary, int] | None:
        """What numbered the items, and its first id; None where the data have numbers for them."""
        return self.transforms.vocabulary(self.history)

    def __call__(self, histories: Histories, unknown: Unknown) -> Examples:
        """The rows of N histories, numbered from 0.

        Raises:
            UserError: they aren't histories, columns are missing, or an item isn't known and ``unknown`` is ``error``.
        """
        if unknown not in get_args(Unknown):
            raise UserError(f"unknown={unknown!r}: choose one of {', '.join(get_args(Unknown))}")
        given = self._batch(histories)
        batch = self._chain(given)
        batch = self._without_unknown(batch, given, unknown)
        try:
            schema.check(self.columns, batch.schema, "the histories")
            columns = decode(batch, self.columns)
        except NullFound as error:
            raise UserError(f"history {error.row}: column {error.column!r} has a null") from None
        count = batch.num_rows
        return Examples(torch.arange(count), columns, torch.ones(count, dtype=torch.int64))

    def ids(self, items: Any, *, skip_unknown: bool = False) -> torch.Tensor:
        """[M] int64 the ids of items.

        Args:
            items: a sequence or Arrow array of integers or strings.
            skip_unknown: leave out those that the model doesn't know.

        Raises:
            UserError: they are something else, or the model doesn't know one of them, which is named.
        """
        try:
            values = items if isinstance(items, pa.Array | pa.ChunkedArray) else pa.array(items)
            if isinstance(values, pa.ChunkedArray):
                values = values.combine_chunks()
            values = canonical(values if len(values) else values.cast(pa.int64()))
        except (pa.ArrowException, UserError, TypeError) as error:
            raise UserError(f"items must be integers or strings ({str(error).splitlines()[0]})") from None
        if not len(values):
            return torch.zeros(0, dtype=torch.int64)
        ids = values
        if self.vocabulary is not None:
            ids = pc.add(self.vocabulary[0].encode(values), self.vocabulary[1] - 1)
        elif not pa.types.is_integer(values.type):
            raise UserError(f"the model's items are the integers 1 to {self.items - 1}, not {values[0].as_py()!r}")
        known = pc.fill_null(pc.and_(pc.greater(ids, 0), pc.less(ids, self.items)), False)
        if skip_unknown:
            ids = ids.filter(known)
        elif (place := known.index(False).as_py()) >= 0:
            raise UserError(f"the model doesn't know the item {values[place].as_py()!r}")
        return torch.from_numpy(np.array(ids))

    def names(self, ids: pa.Array) -> pa.Array:
        """Items in place of ids (int64)."""
        if self.vocabulary is None:
            return ids
        vocabulary, first = self.vocabulary
        return vocabulary.decode(pc.subtract(ids, first - 1))

    @cached_property
    def _chain(self) -> Chain:
        """The transforms that the columns take; a look-up of items leaves it to the caller what it doesn't know."""
        chain = self.transforms.making(column.name for column in self.columns)

        def lenient(step: Step) -> Step:
            transform = step.transform
            looks_up = isinstance(transform, Lookup) and transform.first == 1 and self.history in transform.writes
            return replace(step, transform=replace(transform, unknown="zero")) if looks_up else step  # type: ignore[type-var]

        return Chain(tuple(map(lenient, chain.steps)))

    @cached_property
    def _stored(self) -> tuple[str, ...]:
        """The columns that rows must have."""
        made = set(self._chain.writes)
        own = [column.name for column in self.columns if column.name not in made]
        return tuple(dict.fromkeys([*self._chain.reads, *own]))

    def _batch(self, histories: Histories) -> pa.RecordBatch:
        if isinstance(histories, pa.Table):
            table = histories.combine_chunks()
            arrays = [column.chunk(0) if len(table) else pa.array([], column.type) for column in table.columns]
            batch = pa.RecordBatch.from_arrays(arrays, names=table.column_names)
        elif isinstance(histories, pa.RecordBatch):
            batch = histories
        else:
            if len(self._stored) > 1:
                raise UserError(
                    f"this model reads the columns {', '.join(self._stored)}: give a pyarrow table that has them"
                )
            return pa.RecordBatch.from_arrays([self._lists(histories)], names=list(self._stored))
        if missing := [name for name in self._stored if name not in batch.schema.names]:
            raise UserError(f"the table has no column {missing[0]!r}: this model reads {', '.join(self._stored)}")
        return batch.select(list(self._stored))

    def _lists(self, histories: Sequence[Sequence[Item]]) -> pa.Array:
        if isinstance(histories, str):
            raise UserError("histories must be a list with a list of items for each user")
        try:
            lists = [history if isinstance(history, str) else list(history) for history in histories]
            array = pa.array(lists)
        except (pa.ArrowException, TypeError) as error:
            raise UserError(
                "histories must be a list with a list of items for each user, all integers or all strings "
                f"({str(error).splitlines()[0]})"
            ) from None
        if pa.types.is_null(array.type) or (schema.is_list(array.type) and pa.types.is_null(array.type.value_type)):
            text = self.vocabulary is not None and pa.types.is_large_string(self.vocabulary[0].values.type)
            array = array.cast(pa.list_(pa.large_string() if text else pa.int64()))
        if not schema.is_list(array.type):
            raise UserError(f"histories must be a list with a list of items for each user, not of {array.type}")
        return array

    def _without_unknown(self, batch: pa.RecordBatch, given: pa.RecordBatch, unknown: Unknown) -> pa.RecordBatch:
        """Ids that are in the table, 0 among them only for what is unknown."""
        column = batch.column(self.history)
        values, rebuild = leaves(column)
        if not pa.types.is_integer(values.type):
            raise UserError(f"the model's items are the integers 1 to {self.items - 1}, not {values.type}")
        known = pc.and_(pc.greater(values, 0), pc.less(values, self.items))
        if pc.all(known, skip_nulls=True).as_py() is not False:
            return batch
        place = known.index(False).as_py()
        if unknown == "error":
            raise UserError(f"{self._where(column, place, given)}; unknown='zero' or 'drop' accepts that")
        if unknown == "zero":
            changed = rebuild(pc.if_else(known, values.cast(pa.int64()), 0))
        else:
            changed = keep(column, values, np.asarray(pc.fill_null(known, True)))
        return batch.set_column(batch.schema.get_field_index(self.history), self.history, changed)

    def _where(self, column: pa.Array, place: int, given: pa.RecordBatch) -> str:
        """The history, and the item as it was given where it can be traced back."""
        ends = np.cumsum(np.asarray(pc.fill_null(pc.list_value_length(column), 0)))
        row = int(np.searchsorted(ends, place, side="right"))
        ids = column[row].as_py()
        at = place - int(ends[row] - len(ids))
        origin = self.history
        for step in reversed(self._chain.steps):
            if origin in step.transform.writes:
                origin = step.transform.reads[0]
        raw = given.column(origin)[row].as_py()
        if isinstance(raw, list) and len(raw) == len(ids):
            return f"history {row}: the model doesn't know the item {raw[at]!r}"
        return f"history {row}: the model doesn't know its item number {at}"
