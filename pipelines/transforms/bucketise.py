"""Numbers as the ids of ranges."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from saccade.pipelines.transforms.arrays import leaves, like, numbers
from saccade.pipelines.transforms.one_column import OneColumn


@dataclass(frozen=True)
class Bucketise(OneColumn):
    """Which range a number lies in: 1 below the first boundary, 2 from there to below the second, and so on.

    Takes numbers, flat or in lists, and gives int64 in 1 .. boundaries + 1, and 0 for NaN. Nulls stay null.

    Attributes:
        boundaries: rising.
    """

    boundaries: tuple[float, ...]

    @property
    def ids(self) -> int | None:
        """One range more than boundaries, and 0."""
        return len(self.boundaries) + 2

    def __call__(self, *columns: pa.Array) -> tuple[pa.Array, ...]:
        """The column's ranges."""
        values, rebuild = leaves(columns[0])
        found = numbers(values)
        buckets = np.searchsorted(np.array(self.boundaries), found, side="right") + 1
        return (rebuild(like(values, np.where(np.isnan(found), 0, buckets))),)
