"""Arrow arrays as flat values and the lists around them: what is done to values is the same in lists and outside."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types

from saccade.pipelines.errors import UserError
from saccade.pipelines.parquet.schema import is_list


def lengths_of(array: pa.Array) -> npt.NDArray[np.int64]:
    """[N] the lengths of N lists; 0 for null."""
    lengths: npt.NDArray[np.int64] = pc.fill_null(pc.list_value_length(array), 0).cast(pa.int64()).to_numpy()
    return lengths


def offsets_of(array: pa.Array) -> npt.NDArray[np.int64]:
    """[N + 1] where each of N lists begins in ``array.flatten()``, and where the last one ends."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths_of(array))])


def lists(offsets: npt.NDArray[np.int64], values: pa.Array, like: pa.Array) -> pa.Array:
    """Lists (large_list) of values, null where the rows of ``like`` are."""
    mask = like.is_null() if like.null_count else None
    return pa.LargeListArray.from_arrays(pa.array(offsets), values, mask=mask)


def keep(array: pa.Array, values: pa.Array, kept: npt.NDArray[np.bool_]) -> pa.Array:
    """The lists of ``array`` with those of ``values``, which take the places of its own, that are kept."""
    lengths = lengths_of(array)
    row = np.repeat(np.arange(len(lengths)), lengths)[kept]
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(np.bincount(row, minlength=len(lengths)))])
    return lists(offsets.astype(np.int64), values.filter(pa.array(kept)), array)


def leaves(array: pa.Array) -> tuple[pa.Array, Callable[[pa.Array], pa.Array]]:
    """The values in lists of any depth, and how to put others in their places.

    Returns:
        The flat values; and a function from as many other values to lists (large_list) of the same lengths, null where
        these are. Both are the array itself where it has no lists.
    """
    if not is_list(array.type):
        return array, lambda values: values
    values, inner = leaves(array.flatten())
    return values, lambda others: lists(offsets_of(array), inner(others), array)


def canonical(values: pa.Array) -> pa.Array:
    """Identifiers in the one type of their sort, so that their width and encoding don't matter.

    Returns:
        int64 for integers of any width, large_string for strings of any encoding.

    Raises:
        UserError: they are neither, or an unsigned integer is beyond int64.
    """
    if types.is_dictionary(values.type):
        return canonical(values.dictionary).take(values.indices)
    if types.is_integer(values.type):
        try:
            return values.cast(pa.int64())
        except pa.ArrowInvalid as error:
            raise UserError(f"{str(error).splitlines()[0]}: ids must fit 64 bits with a sign") from None
    if is_string(values.type):
        return values.cast(pa.large_string())
    raise UserError(f"strings or integers are needed, but it has type {values.type}")


def without_views(array: pa.Array) -> pa.Array:
    """The same values, text and bytes not as views, which Arrow can't choose among."""
    values, rebuild = leaves(array)
    if types.is_string_view(values.type):
        return rebuild(values.cast(pa.large_string()))
    if types.is_binary_view(values.type):
        return rebuild(values.cast(pa.large_binary()))
    return array


def is_string(type_: pa.DataType) -> bool:
    """Whether values of this type are text."""
    return bool(types.is_string(type_) or types.is_large_string(type_) or types.is_string_view(type_))


def map_distinct(values: pa.Array, function: Callable[[pa.Array], pa.Array]) -> pa.Array:
    """A function of identifiers in canonical type, worked out for a dictionary's entries only where there is one."""
    if types.is_dictionary(values.type):
        return function(canonical(values.dictionary)).take(values.indices)
    return function(canonical(values))


def like(values: pa.Array, results: npt.NDArray[np.generic], missing: npt.NDArray[np.bool_] | None = None) -> pa.Array:
    """Results as an array that is null where ``values`` is, or where ``missing`` says."""
    if missing is None and values.null_count:
        missing = np.asarray(values.is_null())
    return pa.array(results, mask=missing)


def numbers(values: pa.Array) -> npt.NDArray[np.float64]:
    """Numbers as float64, NaN for null.

    Raises:
        UserError: they are no numbers.
    """
    type_: Any = values.type
    if not (types.is_integer(type_) or types.is_floating(type_) or types.is_boolean(type_)):
        raise UserError(f"numbers are needed, but it has type {type_}")
    found: npt.NDArray[np.float64] = values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return found
