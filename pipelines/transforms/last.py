"""The last events of several lists that run side by side."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from saccade.pipelines.errors import UserError
from saccade.pipelines.parquet.schema import is_list
from saccade.pipelines.transforms.take import cut


@dataclass(frozen=True)
class Last:
    """The last events of aligned list columns (items, times, ratings), each column in its own place.

    Takes lists of any type and gives the same as large_list. A row's lists must be equally long; where one is null, all
    of them must be, and stay so.

    Attributes:
        columns: the list columns.
        events: how many events are kept.
    """

    columns: tuple[str, ...]
    events: int

    @property
    def reads(self) -> tuple[str, ...]:
        """The columns."""
        return self.columns

    @property
    def writes(self) -> tuple[str, ...]:
        """The same ones."""
        return self.columns

    @property
    def ids(self) -> int | None:
        """Not known."""
        return None

    def __call__(self, *columns: pa.Array) -> tuple[pa.Array, ...]:
        """The columns, cut."""
        for name, array in zip(self.columns, columns, strict=True):
            if not is_list(array.type):
                raise UserError(f"lists are needed, but {name!r} has type {array.type}")
            self._check(columns[0], array, name)
        return tuple(cut(array, self.events, from_end=True) for array in columns)

    def _check(self, one: pa.Array, other: pa.Array, name: str) -> None:
        """Both have equally many events in every row."""
        here, there = (pc.fill_null(pc.list_value_length(array), -1).to_numpy() for array in (one, other))
        different = np.flatnonzero(here != there)
        if len(different):
            row = different[0]
            found = ["null" if n < 0 else f"{n} events" for n in (here[row], there[row])]
            raise UserError(f"a row has {found[0]} in {self.columns[0]!r}, but {found[1]} in {name!r}")
