"""Arrow arrays as tensors, with no Python object a value and no copy where the type is right already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc
import torch.utils.dlpack
from pyarrow import types
from torch import Tensor

from saccade.models.jagged import Jagged, Layout
from saccade.pipelines.parquet.schema import Column, Kind, Null

Columns = Mapping[str, Tensor | Jagged]

_DTYPES = {"integer": torch.int64, "integers": torch.int64, "integer_lists": torch.int64}
_DTYPES |= {"float": torch.float32, "number": torch.float32, "floats": torch.float32}
_DTYPES |= {"string": torch.uint8, "binary": torch.uint8}


class NullFound(ValueError):
    """A null where none is taken; ``row`` is the first row that has one."""

    def __init__(self, row: int, column: str = "") -> None:
        super().__init__(f"null in row {row} of {column!r}")
        self.row, self.column = row, column

    def around(self, lengths: Tensor) -> NullFound:
        """The same null, by the row of lists of these lengths that it is in."""
        return NullFound(int(torch.searchsorted(lengths.cumsum(0), self.row, right=True)))


def decode(batch: pa.RecordBatch, columns: Sequence[Column]) -> Columns:
    """Turn columns of N rows into tensors on the host.

    The tensors may share memory with the batch, which Arrow takes as immutable: don't write into them.

    Returns:
        By name: [N] int64 for ``integer``, [N] float32 for ``float`` and ``number``, else a Jagged of N examples with
        values of int64 (``integers``), float32 (``floats``) or uint8 (``string``, ``binary``). A column C of
        ``integer_lists`` becomes two: C has each row's integers, all of its lists laid end to end, and C.lengths the
        length of each list.

    Raises:
        NullFound: a row is null, or has a null in its list, and the column doesn't say what a null becomes.
        pyarrow.ArrowInvalid: a value beyond int64.
    """
    decoded: dict[str, Tensor | Jagged] = {}
    for column in columns:
        try:
            decoded |= _decode(batch.column(column.name), column)
        except NullFound as error:
            raise NullFound(error.row, column.name) from None
    return decoded


def nothing(columns: Sequence[Column]) -> Columns:
    """No rows of these columns."""
    found: dict[str, Tensor | Jagged] = {}
    for column in columns:
        values = torch.empty(0, dtype=_DTYPES[column.kind])
        single = column.kind in ("integer", "float", "number")
        found[column.name] = values if single else Jagged(values, Layout(torch.empty(0, dtype=torch.int64)))
        if column.kind == "integer_lists":
            found[f"{column.name}.lengths"] = found[column.name]
    return found


def _decode(array: pa.Array, column: Column) -> Columns:
    null = column.null
    if column.kind in ("integer", "float", "number"):
        return {column.name: _tensor(_filled(_numbers(array, column.kind), null))}
    if column.kind in ("string", "binary"):
        return {column.name: _bytes(_filled(_binary(array), null))}
    lengths, values = _lists(array, null)
    if column.kind in ("integers", "floats"):
        try:
            return {column.name: Jagged(_tensor(_filled(_numbers(values, column.kind), null)), Layout(lengths))}
        except NullFound as error:
            raise error.around(lengths) from None
    try:
        inner_lengths, values = _lists(values, null)
    except NullFound as error:
        raise error.around(lengths) from None
    try:
        numbers = _tensor(_filled(_numbers(values, column.kind), null))
    except NullFound as error:
        raise error.around(inner_lengths).around(lengths) from None
    outer, inner = Layout(lengths), Layout(inner_lengths)
    totals = inner.host_offsets[outer.host_offsets].diff()
    return {column.name: Jagged(numbers, Layout(totals)), f"{column.name}.lengths": Jagged(inner_lengths, outer)}


def _filled(array: pa.Array, null: Null | None) -> pa.Array:
    if not array.null_count:
        return array
    if null is None:
        raise NullFound(_first_null(array))
    return pc.fill_null(array, null)


def _first_null(array: pa.Array) -> int:
    return int(array.is_null().index(True).as_py())


def _lists(array: pa.Array, null: Null | None) -> tuple[Tensor, pa.Array]:
    """The lists' lengths, and their values without gaps."""
    if len(array) and not array.null_count and (types.is_list(array.type) or types.is_large_list(array.type)):
        edges = _tensor(array.offsets)  # not to_numpy(), which imports pandas: a quarter of a second
        first, last = int(edges[0]), int(edges[-1])
        # No list is null, so the values lie without gaps between the first and the last offset.
        return edges.diff().to(torch.int64), array.values.slice(first, last - first)
    lengths = _filled(pc.list_value_length(array), None if null is None else 0)
    # flatten() and not .values, which ignores that the array may be a slice and that a null may hide values.
    return _tensor(lengths).to(torch.int64), array.flatten()


def _numbers(array: pa.Array, kind: Kind) -> pa.Array:
    """Numbers of any width, and moments as microseconds, in the one type of their kind."""
    wanted = pa.float32() if kind in ("float", "number", "floats") else pa.int64()
    if types.is_temporal(array.type):
        return array.cast(options=_microseconds(array.type)).view(wanted)
    if array.type != wanted:
        # A float64 beyond float32's range becomes infinite, as in every other conversion of floats.
        return array.cast(wanted, safe=types.is_integer(wanted))
    return array


def _microseconds(found: pa.DataType) -> pc.CastOptions:
    if types.is_time(found):
        to = pa.time64("us")
    elif types.is_duration(found):
        to = pa.duration("us")
    else:
        to = pa.timestamp("us", getattr(found, "tz", None))
    return pc.CastOptions(to, allow_time_truncate=True)


def _binary(array: pa.Array) -> pa.Array:
    """Text or bytes with offsets."""
    if types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if types.is_fixed_size_binary(array.type) or types.is_binary_view(array.type):
        return array.cast(pa.binary())
    return array.cast(pa.string()) if types.is_string_view(array.type) else array


def _bytes(array: pa.Array) -> Jagged:
    large = types.is_large_string(array.type) or types.is_large_binary(array.type)
    _, offset_buffer, data = array.buffers()
    stored = pa.Array.from_buffers(
        pa.int64() if large else pa.int32(), len(array) + 1, [None, offset_buffer], offset=array.offset
    )
    edges = _tensor(stored).to(torch.int64)
    first, total = int(edges[0]), int(edges[-1] - edges[0])
    if total:
        values = _tensor(pa.Array.from_buffers(pa.uint8(), total, [None, data], offset=first))
    else:  # there may be no buffer at all
        values = torch.empty(0, dtype=torch.uint8)
    return Jagged(values, Layout(edges.diff()))


def _tensor(array: pa.Array) -> Tensor:
    """A null-free primitive array as a tensor that shares its memory and keeps it alive."""
    if len(array) == 0:
        return torch.from_numpy(array.to_numpy(zero_copy_only=False).copy())
    # DLPack, because torch.from_numpy warns of every read-only array and a copy costs a tenth of the decoding.
    return torch.utils.dlpack.from_dlpack(array)
