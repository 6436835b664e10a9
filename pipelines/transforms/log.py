"""The logarithm of counts, prices and durations, whose large values would drown the others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from saccade.pipelines.transforms.arrays import leaves, like, numbers
from saccade.pipelines.transforms.one_column import OneColumn


@dataclass(frozen=True)
class Log(OneColumn):
    """sign(x) · ln(1 + |x|): 0 stays 0, and negative numbers stay negative.

    Takes numbers, flat or in lists, and gives float64. Nulls stay null.
    """

    def __call__(self, *columns: pa.Array) -> tuple[pa.Array, ...]:
        """The column's logarithms."""
        values, rebuild = leaves(columns[0])
        found = numbers(values)
        return (rebuild(like(values, np.copysign(np.log1p(np.abs(found)), found))),)
