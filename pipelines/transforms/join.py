"""What a side table says of an item or a user: its genre, its year, its price."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from saccade.pipelines.errors import UserError
from saccade.pipelines.transforms.arrays import canonical, leaves, map_distinct, without_views
from saccade.pipelines.transforms.one_column import OneColumn


@dataclass(frozen=True)
class Join(OneColumn):
    """The side table's value for each key.

    Takes strings (of any encoding) or integers, flat or in lists, and gives the side table's type: one value a row, or
    lists of one value an event. A key that the table doesn't have gives null, or is an error. Nulls stay null.

    Attributes:
        table: the columns ``key`` (in canonical type, each once) and ``value``.
        missing: what a key that isn't there becomes.
    """

    table: pa.Table
    missing: str = "null"

    def __call__(self, *columns: pa.Array) -> tuple[pa.Array, ...]:
        """The values."""
        values, rebuild = leaves(columns[0])
        return (rebuild(map_distinct(values, self._join)),)

    def _join(self, keys: pa.Array) -> pa.Array:
        known = self.table["key"]
        if keys.type != known.type:
            raise UserError(f"the side table's key has type {known.type}, but the column {keys.type}")
        rows = pc.index_in(keys, value_set=known)
        if self.missing == "error" and rows.null_count > keys.null_count:
            lost = keys.filter(pc.and_(rows.is_null(), keys.is_valid()))[0].as_py()
            raise UserError(f"the side table has no row for {lost!r}: add it, or set missing to null")
        found = self.table["value"].take(rows)
        return pa.concat_arrays(found.chunks) if found.num_chunks else pa.array([], found.type)


def side_table(table: pa.Table, key: str, value: str, file: str) -> pa.Table:
    """The two columns of a table that ``Join`` takes.

    Raises:
        UserError: a column is missing, or the key isn't strings or integers, has nulls or repeats.
    """
    for name in (key, value):
        if name not in table.column_names:
            raise UserError(f"{file}: no column {name!r}; it has {', '.join(table.column_names)}")
    try:
        keys = pa.chunked_array([canonical(chunk) for chunk in table[key].chunks])
    except UserError as error:
        raise UserError(f"{file}: column {key!r}: {error}") from None
    if keys.null_count:
        raise UserError(f"{file}: the key {key!r} has a null; drop the row")
    counts = keys.value_counts()
    repeated = counts.field("values").filter(pc.greater(counts.field("counts"), 1))
    if len(repeated):
        raise UserError(f"{file}: the key {key!r} has {repeated[0].as_py()!r} more than once; keep one row of it")
    values = [without_views(chunk) for chunk in table[value].chunks]
    return pa.table({"key": keys, "value": pa.chunked_array(values)})
