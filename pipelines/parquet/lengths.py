"""How long a data set's sequences are, counted in one pass."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import numpy.typing as npt

_BUCKETS = 12


class Lengths:
    """Exact counts of lengths; its memory grows with the number of different lengths, not of rows."""

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()

    def add(self, lengths: npt.NDArray[np.integer[Any]]) -> None:
        """Count the lengths of some rows."""
        values, counts = np.unique(lengths, return_counts=True)
        self._counts.update(dict(zip(values.tolist(), counts.tolist(), strict=True)))

    def summary(self) -> dict[str, Any]:
        """``min``, ``mean``, ``p50``, ``p90``, ``p99``, ``max``, ``total`` and ``histogram``; empty without any rows.

        The histogram has at most a dozen buckets {"from", "to", "rows"}, both ends included. They are equally wide
        and cover all but the longest hundredth, of which the last bucket takes what lies beyond.
        """
        if not self._counts:
            return {}
        values = np.array(sorted(self._counts))
        counts = np.array([self._counts[value] for value in values.tolist()])
        below = counts.cumsum()
        rows, total = int(below[-1]), int(values @ counts)

        def quantile(share: float) -> int:
            return int(values[np.searchsorted(below, share * rows)])

        return {
            "min": int(values[0]),
            "mean": total / rows,
            "p50": quantile(0.5),
            "p90": quantile(0.9),
            "p99": quantile(0.99),
            "max": int(values[-1]),
            "total": total,
            "histogram": _histogram(values, counts, quantile(0.99)),
        }


def _histogram(values: npt.NDArray[np.int64], counts: npt.NDArray[np.int64], nearly_all: int) -> list[dict[str, int]]:
    low, high = int(values[0]), int(values[-1])
    width = _round_up((nearly_all - low + 1) / (_BUCKETS - 1))
    first = low // width * width
    edges = [edge for edge in range(first, first + width * _BUCKETS, width) if edge <= high]
    bucket = np.minimum((values - first) // width, len(edges) - 1)
    rows = np.bincount(bucket, weights=counts, minlength=len(edges))
    ends = [edge - 1 for edge in edges[1:]] + [max(high, 0)]
    return [
        {"from": max(edge, low), "to": end, "rows": int(count)}
        for edge, end, count in zip(edges, ends, rows, strict=True)
    ]


def _round_up(width: float) -> int:
    """The next of 1, 2, 5, 10, 20, 50 and so on."""
    unit = 1
    while True:
        for step in (1, 2, 5):
            if step * unit >= width:
                return step * unit
        unit *= 10
