"""Values as files have them, as Arrow has them; what is wrong with one is a fault of its row."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types

from saccade.pipelines.importing.chunk import Faults

NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
_INTEGER = r"^-?[0-9]{1,18}$"


def text_of(column: pa.ChunkedArray, name: str, faults: Faults, *, required: bool = True) -> pa.Array:
    """A column as text without spaces around it; what isn't there is null, and a fault where it is required."""
    array = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
    if types.is_binary(array.type):
        array = _decoded(array, name, faults)
    text = pc.ascii_trim_whitespace(array.cast(pa.string()))
    there = flags(pc.greater(pc.binary_length(text), 0))
    if required:
        faults.add(~there, f"no {name}")
    return text if there.all() else pc.if_else(pa.array(there), text, None)


def _decoded(array: pa.Array, name: str, faults: Faults) -> pa.Array:
    try:
        return array.cast(pa.string())
    except pa.ArrowInvalid:
        values = [_decode(value) for value in array.to_pylist()]
        faults.add(np.array([value is None for value in values]), f"{name} isn't UTF-8")
        return pa.array(values, pa.string())


def _decode(value: bytes) -> str | None:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return None


def flags(array: pa.Array) -> npt.NDArray[np.bool_]:
    """Booleans as NumPy has them; null is false."""
    mask: npt.NDArray[np.bool_] = pc.fill_null(array, False).to_numpy(zero_copy_only=False)
    return mask


def numbers_of(text: pa.Array, name: str, faults: Faults) -> npt.NDArray[np.float64]:
    """Text as numbers; what is none is a fault, and infinite or NaN."""
    try:
        numbers = text.cast(pa.float64())
    except pa.ArrowInvalid:
        fits = pc.match_substring_regex(text, NUMBER)
        numbers = pc.if_else(fits, text, None).cast(pa.float64())
    found: npt.NDArray[np.float64] = numbers.to_numpy(zero_copy_only=False)  # null becomes NaN
    faults.add(~np.isfinite(found), lambda row: f"{name} {quoted(text, row)} isn't a number")
    return found


def quoted(text: pa.Array, row: int) -> str:
    """A value as a reject shows it."""
    return repr(text[row].as_py()[:50])


def integers_of(text: pa.Array, name: str, faults: Faults) -> pa.Array:
    """Text as int64; what is none is a fault, and null; so is what is null already, but without being a fault."""
    try:
        return text.cast(pa.int64())
    except pa.ArrowInvalid:
        fits = pc.match_substring_regex(text, _INTEGER)
        faults.add(flags(pc.invert(fits)), lambda row: f"{name} {quoted(text, row)} isn't an integer")
        return pc.if_else(fits, text, None).cast(pa.int64())
