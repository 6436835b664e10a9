"""Which items of a side table are wanted: those of a category, say."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from saccade.pipelines.errors import UserError
from saccade.pipelines.parquet.batches import record_batches
from saccade.pipelines.parquet.schema import is_list
from saccade.pipelines.parquet.source import Source
from saccade.pipelines.transforms.arrays import canonical
from saccade.pipelines.transforms.chain import nearest


def wanted_items(path: str, column: str, only: Sequence[tuple[str, str]]) -> pa.Array:
    """The items, integers or strings, of the rows that have all the values asked for.

    Args:
        path: a Parquet file, folder, glob or address.
        column: with the items.
        only: columns, and the value that each must have, or hold where it has lists.

    Raises:
        UserError: a column is missing, can't be compared with the value, or holds no items; or no row is wanted.
    """
    source = Source.open(path, None, [])
    names = source.footers[0].metadata.schema.to_arrow_schema().names
    for name in (column, *(name for name, _ in only)):
        if name not in names:
            raise UserError(f"{path}: no column {name!r}{nearest(name, names)}")
    found = []
    for batch in record_batches(source, [column, *(name for name, _ in only)]):
        for name, value in only:
            try:
                batch = batch.filter(_has(batch.column(name), value))
            except pa.ArrowException:
                kind = batch.schema.field(name).type
                raise UserError(f"{path}: column {name!r} has {kind}, which can't be {value!r}") from None
        try:
            found.append(canonical(batch.column(column)).drop_null())
        except UserError as error:
            raise UserError(f"{path}: column {column!r}: {error}") from None
    items = pa.concat_arrays(found)
    if not len(items):
        asked = " and ".join(f"{name}={value}" for name, value in only) or "no condition"
        raise UserError(f"{path}: no item with {asked}")
    return items


def _has(column: pa.Array, value: str) -> pa.Array:
    """Which rows have the value, or a list with it; nulls have none."""
    if not is_list(column.type):
        return pc.fill_null(pc.equal(column, _as(value, column.type)), False)
    inside = pc.fill_null(pc.equal(column.flatten(), _as(value, column.type.value_type)), False)
    rows = pc.list_parent_indices(column).filter(inside)
    return pc.is_in(pa.array(range(len(column)), pa.int64()), value_set=rows.cast(pa.int64()))


def _as(value: str, kind: pa.DataType) -> pa.Scalar:
    return pa.scalar(value).cast(kind.value_type if pa.types.is_dictionary(kind) else kind)
