"""Numbers with mean 0 and standard deviation 1."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from saccade.pipelines.errors import UserError
from saccade.pipelines.transforms.arrays import leaves, like, numbers
from saccade.pipelines.transforms.one_column import OneColumn


@dataclass(frozen=True)
class Standardise(OneColumn):
    """(x - mean) / deviation.

    Takes numbers, flat or in lists, and gives float64. Nulls stay null.

    Attributes:
        mean: of the training rows.
        deviation: likewise, > 0.
    """

    mean: float
    deviation: float

    def __call__(self, *columns: pa.Array) -> tuple[pa.Array, ...]:
        """The column, standardised."""
        values, rebuild = leaves(columns[0])
        return (rebuild(like(values, (numbers(values) - self.mean) / self.deviation)),)


@dataclass
class Moments:
    """Learns mean and standard deviation; nulls and NaN don't count. The deviation of equal numbers is taken as 1."""

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0
    """Sum of the squared distances from the mean."""
    lowest: float = np.inf
    highest: float = -np.inf

    def add(self, column: pa.Array) -> None:
        """Take some numbers; by the update of Chan et al., which doesn't subtract large sums from each other."""
        found = numbers(leaves(column)[0])
        found = found[~np.isnan(found)]
        if len(found):
            apart, total = float(found.mean()) - self.mean, self.count + len(found)
            self.squares += float(found.var()) * len(found) + apart**2 * self.count * len(found) / total
            self.mean += apart * len(found) / total
            self.count = total
            self.lowest, self.highest = min(self.lowest, found.min()), max(self.highest, found.max())

    def result(self) -> pa.Table:
        """One row of ``mean`` and ``deviation``."""
        if not self.count:
            raise UserError("there is no number to find the mean of")
        # The mean of equal numbers is rounded, so that some of them lie beside it: by 1e-14, which must not become 1.
        squares = self.squares if self.lowest < self.highest else 0.0
        return pa.table({"mean": [self.mean], "deviation": [float(np.sqrt(squares / self.count)) or 1.0]})
