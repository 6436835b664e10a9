"""A block of a Ray Dataset as an Arrow table whose columns are of plain types: numbers, text, bytes, and lists of them.

Ray keeps NumPy arrays of one length in a fixed-shape tensor type and those of several lengths in another, block by
block, so that one column has different types in different files if Ray writes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types
from ray.data.block import Block, BlockAccessor

from saccade.pipelines.errors import UserError


def plain_table(block: Block, columns: Sequence[str] | None) -> pa.Table:
    """The columns of a block (all for none): integers as int64, one-dimensional arrays as lists, no dictionaries.

    Raises:
        UserError: it lacks a column, or one has objects, arrays of more dimensions or unsigned integers beyond int64.
    """
    table: pa.Table = BlockAccessor.for_block(block).to_arrow()
    names = table.column_names if columns is None else list(columns)
    if missing := [name for name in names if name not in table.column_names]:
        raise UserError(f"the dataset has no column {missing[0]!r}, only {', '.join(table.column_names)}")
    return pa.table({name: _plain(name, table.column(name)) for name in names})


def _plain(name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
    if isinstance(column.type, pa.BaseExtensionType):
        column = _list_storage(name, column)
    try:
        return column.cast(_plain_type(column.type))
    except pa.ArrowInvalid as error:
        raise UserError(f"column {name!r}: {str(error).splitlines()[0]}") from None


def _list_storage(name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The lists in which an extension type of Ray keeps one-dimensional arrays."""
    type_: Any = column.type
    dimensions = len(type_.shape) if getattr(type_, "shape", None) is not None else getattr(type_, "ndim", None)
    if dimensions != 1:
        what = "Python objects" if dimensions is None else f"arrays of {dimensions} dimensions"
        raise UserError(f"column {name!r} holds {what} ({type_}): make them numbers, text, or lists of numbers")
    storage = [chunk.storage for chunk in column.chunks]
    if types.is_struct(type_.storage_type):  # lengths vary: the values, and each array's shape
        storage = [pc.struct_field(chunk, "data") for chunk in storage]
    return pa.chunked_array(storage)


def _plain_type(found: pa.DataType) -> pa.DataType:
    if types.is_list(found) or types.is_large_list(found) or types.is_fixed_size_list(found):
        return pa.list_(_plain_type(found.value_type))
    if types.is_dictionary(found):
        return _plain_type(found.value_type)
    if types.is_large_string(found) or types.is_string_view(found):
        return pa.string()
    if types.is_large_binary(found) or types.is_binary_view(found):
        return pa.binary()
    return pa.int64() if types.is_integer(found) else found
