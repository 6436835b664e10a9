"""Arrow arrays as tensors, with no Python object a value and no copy where the type is right already."""

from __future__ import annotations

import pyarrow as pa
import torch.utils.dlpack
from pyarrow import types
from torch import Tensor

from saccade.models.jagged import Jagged, Layout
from saccade.pipelines.examples import join
from saccade.pipelines.parquet.schema import Kind


class NullFound(ValueError):
    """A null where none is taken; ``row`` is the first row that has one."""

    def __init__(self, row: int) -> None:
        super().__init__(f"null in row {row}")
        self.row = row


def decode(array: pa.ChunkedArray, kind: Kind) -> Tensor | Jagged:
    """Turn one column of N rows into tensors on the host.

    The tensors may share memory with the array, which Arrow takes as immutable: don't write into them.

    Returns:
        [N] int64 for ``integer``, [N] float32 for ``float``, else a Jagged of N examples with values of int64
        (``integers``), float32 (``floats``) or uint8 (``string``, ``binary``).

    Raises:
        NullFound: a row is null, or has a null in its list.
        pyarrow.ArrowInvalid: an unsigned value beyond int64.
    """
    # Chunk by chunk: Arrow's combine_chunks fails where 32-bit offsets would overflow.
    chunks, first_row = [], 0
    for chunk in array.chunks:
        try:
            chunks.append(_decode_chunk(chunk, kind))
        except NullFound as error:
            raise NullFound(first_row + error.row) from None
        first_row += len(chunk)
    return join(chunks) if chunks else empty(kind)


def empty(kind: Kind) -> Tensor | Jagged:
    """No rows of this kind."""
    dtype = {"integer": torch.int64, "integers": torch.int64, "float": torch.float32, "floats": torch.float32}
    values = torch.empty(0, dtype=dtype.get(kind, torch.uint8))
    return values if kind in ("integer", "float") else Jagged(values, Layout(torch.empty(0, dtype=torch.int64)))


def slice_rows(column: Tensor | Jagged, first: int, last: int) -> Tensor | Jagged:
    """Rows [first, last) of a column, as views."""
    if isinstance(column, Tensor):
        return column[first:last]
    offsets = column.layout.host_offsets
    return Jagged(column.values[offsets[first] : offsets[last]], Layout(column.layout.lengths[first:last]))


def _decode_chunk(array: pa.Array, kind: Kind) -> Tensor | Jagged:
    if array.null_count:
        raise NullFound(_first_null(array))
    if len(array) == 0:
        return empty(kind)
    if types.is_dictionary(array.type):
        array = array.dictionary_decode()
        if array.null_count:  # a null in the dictionary itself
            raise NullFound(_first_null(array))
    if kind in ("integer", "float"):
        return _numbers(array, kind)
    if kind in ("integers", "floats"):
        return _lists(array, kind)
    return _bytes(array)


def _first_null(array: pa.Array) -> int:
    return int(array.is_null().index(True).as_py())


def _numbers(array: pa.Array, kind: Kind) -> Tensor:
    wanted = pa.int64() if kind in ("integer", "integers") else pa.float32()
    if array.type != wanted:
        # A float64 beyond float32's range becomes infinite, as in every other conversion of floats.
        array = array.cast(wanted, safe=types.is_integer(wanted))
    return _tensor(array)


def _lists(array: pa.Array, kind: Kind) -> Jagged:
    if types.is_fixed_size_list(array.type):
        # flatten() and not .values, which ignores that the array may be a slice.
        values = array.flatten()
        lengths = torch.full((len(array),), array.type.list_size, dtype=torch.int64)
    else:
        offsets = _tensor(array.offsets).to(torch.int64)
        lengths = offsets.diff()
        # No list is null here, so the values lie without gaps between the first and the last offset.
        values = array.values.slice(int(offsets[0]), int(offsets[-1] - offsets[0]))
    if values.null_count:
        row = torch.searchsorted(lengths.cumsum(0), _first_null(values), right=True)
        raise NullFound(int(row))
    return Jagged(_numbers(values, "integer" if kind == "integers" else "float"), Layout(lengths))


def _bytes(array: pa.Array) -> Jagged:
    if types.is_fixed_size_binary(array.type) or types.is_binary_view(array.type):
        array = array.cast(pa.binary())
    elif types.is_string_view(array.type):
        array = array.cast(pa.string())
    large = types.is_large_string(array.type) or types.is_large_binary(array.type)
    _, offset_buffer, data = array.buffers()
    stored = pa.Array.from_buffers(
        pa.int64() if large else pa.int32(), len(array) + 1, [None, offset_buffer], offset=array.offset
    )
    offsets = _tensor(stored).to(torch.int64)
    first, total = int(offsets[0]), int(offsets[-1] - offsets[0])
    if total:
        values = _tensor(pa.Array.from_buffers(pa.uint8(), total, [None, data], offset=first))
    else:  # there may be no buffer at all
        values = torch.empty(0, dtype=torch.uint8)
    return Jagged(values, Layout(offsets.diff()))


def _tensor(array: pa.Array) -> Tensor:
    """A null-free primitive array as a tensor that shares its memory and keeps it alive."""
    if len(array) == 0:
        return torch.from_numpy(array.to_numpy(zero_copy_only=False).copy())
    # DLPack, because torch.from_numpy warns of every read-only array and a copy costs a tenth of the decoding.
    return torch.utils.dlpack.from_dlpack(array)
