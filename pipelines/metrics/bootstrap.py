"""How far a metric may be off because these users were measured and not others: percentile bootstrap intervals.

"An Introduction to the Bootstrap" (Efron and Tibshirani 1993, chapter 13). Users are drawn, not rows: rows of one user
go together. The draws depend on the seed and on how many users there are, so any number of workers draws the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping

import numpy as np

from saccade.pipelines.metrics.rows import Array
from saccade.pipelines.seeds import derive_seed

LEVEL = 0.95
"""The share of resamples whose value lies inside an interval."""


def resamples(units: int, count: int, seed: int) -> Iterator[Array]:
    """``count`` times [units] float64: how often each unit is in a sample of so many, drawn with replacement."""
    generator = np.random.Generator(np.random.PCG64(derive_seed("bootstrap", seed, units)))
    for _ in range(count):
        yield np.bincount(generator.integers(0, units, units), minlength=units).astype(np.float64)


def intervals(
    measure: Callable[[Array], Mapping[str, float]], units: int, count: int, seed: int
) -> dict[str, list[float]]:
    """Each metric's interval [low, high]: the percentiles of its values over the resamples.

    Args:
        measure: the metrics, given how often ([units] float64) each unit counts.
        units: users, or rows where those are measured on their own.
        count: resamples.
        seed: of the draws.

    Returns:
        Nothing without units. Resamples that give a metric no value (no click in them) are left out of its interval,
        which is NaN where none gives one.
    """
    if not units or not count:
        return {}
    found: dict[str, list[float]] = {}
    for weights in resamples(units, count, seed):
        for name, value in measure(weights).items():
            found.setdefault(name, []).append(value)
    return {name: _percentiles(np.array(values)) for name, values in found.items()}


def _percentiles(values: Array) -> list[float]:
    values = values[~np.isnan(values)]
    if not len(values):
        return [math.nan, math.nan]
    tail = (1 - LEVEL) / 2
    return [float(edge) for edge in np.quantile(values, [tail, 1 - tail])]
