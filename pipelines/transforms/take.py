"""A column under another name, or the first or last events of its lists."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from saccade.pipelines.errors import UserError
from saccade.pipelines.parquet.schema import is_list
from saccade.pipelines.transforms.arrays import lengths_of, lists, offsets_of, without_views
from saccade.pipelines.transforms.one_column import OneColumn


@dataclass(frozen=True)
class Take(OneColumn):
    """A copy of a column; of a list column perhaps only a part of each list.

    Takes any type, with ``first`` or ``last`` lists of any type, and gives the same (large_list for lists that were
    cut). Null lists stay null.

    Attributes:
        first: how many events are kept from a list's beginning; None for all.
        last: how many from its end; None for all. Not both.
    """

    first: int | None = None
    last: int | None = None

    def __call__(self, *columns: pa.Array) -> tuple[pa.Array, ...]:
        """The column, cut."""
        (array,) = columns
        if self.first is not None:
            return (cut(array, self.first, from_end=False),)
        if self.last is not None:
            return (cut(array, self.last, from_end=True),)
        return (array,)


def cut(array: pa.Array, most: int, *, from_end: bool) -> pa.Array:
    """The first or last ``most`` elements of every list; found from the offsets, before any value is touched.

    Raises:
        UserError: the rows aren't lists.
    """
    if not is_list(array.type):
        raise UserError(f"lists are needed, but it has type {array.type}")
    lengths, offsets = lengths_of(array), offsets_of(array)
    kept = np.minimum(lengths, most)
    starts = offsets[:-1] + (lengths - kept if from_end else 0)
    to = np.concatenate([np.zeros(1, np.int64), np.cumsum(kept)])
    # The place of each kept value: its list's start, and its number in the list.
    places = np.repeat(starts - to[:-1], kept) + np.arange(to[-1])
    return lists(to, without_views(array.flatten()).take(pa.array(places)), array)
