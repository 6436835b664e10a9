"""Something in the place of nulls, which no task takes."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from saccade.pipelines.errors import UserError
from saccade.pipelines.transforms.arrays import leaves, offsets_of
from saccade.pipelines.transforms.one_column import OneColumn


@dataclass(frozen=True)
class Fill(OneColumn):
    """A value in the place of each null, also inside lists; a null list becomes an empty one.

    Takes and gives any type that the value fits; lists come as large_list.

    Attributes:
        value: the replacement.
    """

    value: int | float | str | bool

    def __call__(self, *columns: pa.Array) -> tuple[pa.Array, ...]:
        """The column without nulls."""
        (array,) = columns
        values, rebuild = leaves(array)
        if pa.types.is_dictionary(values.type):
            values = values.dictionary_decode()
        try:
            filled = values.fill_null(pa.scalar(self.value, values.type))
        except (pa.ArrowException, TypeError, ValueError):
            raise UserError(f"{self.value!r} doesn't fit its type, {values.type}") from None
        filled = rebuild(filled)
        return (filled if filled is array or not filled.null_count else _without_nulls(filled),)


def _without_nulls(array: pa.Array) -> pa.Array:
    """Lists with empty ones for null, to any depth."""
    if not pa.types.is_large_list(array.type):
        return array
    return pa.LargeListArray.from_arrays(pa.array(offsets_of(array)), _without_nulls(array.flatten()))
