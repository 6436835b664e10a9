"""How long after the event before it each event came."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from pyarrow import types

from saccade.pipelines.errors import UserError
from saccade.pipelines.parquet.schema import is_list
from saccade.pipelines.transforms.arrays import leaves, like, offsets_of
from saccade.pipelines.transforms.one_column import OneColumn


@dataclass(frozen=True)
class TimeDeltas(OneColumn):
    """Differences between the neighbours of a list of times; a list's first event has 0.

    Takes lists of integers, floats, timestamps or dates (in their own unit) and gives lists of int64, of float64 for
    floats, or of bucket numbers. Null lists stay null; a null time makes its own and the next difference null.

    Attributes:
        buckets: None for the differences themselves. Else bucket k of 1 .. buckets has the differences d with
            2^(k-1) <= 1 + d < 2^k, so 0 is in the first, and the last has all that are larger. One back in time counts
            as 0.
    """

    buckets: int | None = None

    @property
    def ids(self) -> int | None:
        """The buckets and 0."""
        return None if self.buckets is None else self.buckets + 1

    def __call__(self, *columns: pa.Array) -> tuple[pa.Array, ...]:
        """The column's differences."""
        (array,) = columns
        values, rebuild = leaves(array)
        if not is_list(array.type) or is_list(array.type.value_type):
            raise UserError(f"lists of times are needed, but it has type {array.type}")
        times = _times(values)
        deltas = np.diff(times, prepend=times[:1])
        starts = offsets_of(array)[:-1]
        first = starts[starts < len(deltas)]  # an empty list at the end starts behind the values
        deltas[first] = 0
        lost = np.asarray(values.is_null())
        after = np.concatenate([np.zeros(min(1, len(lost)), bool), lost[:-1]])
        after[first] = False
        if self.buckets is not None:
            # frexp gives the exponent e with 2^(e-1) <= x < 2^e, exactly, for whole numbers too.
            exponents = np.frexp(1 + np.maximum(deltas.astype(np.float64), 0))[1]
            deltas = np.minimum(exponents, self.buckets).astype(np.int64)
        return (rebuild(like(values, deltas, lost | after)),)


def _times(values: pa.Array) -> np.ndarray:
    if types.is_floating(values.type):
        return np.array(values.cast(pa.float64()).fill_null(0))
    if types.is_date32(values.type):
        values = values.cast(pa.int32())
    elif not (types.is_integer(values.type) or types.is_timestamp(values.type) or types.is_date64(values.type)):
        raise UserError(f"lists of times are needed, but they hold {values.type}")
    return np.array(values.cast(pa.int64()).fill_null(0))
