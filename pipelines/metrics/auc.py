"""The area under the ROC curve, of all rows and within groups, by counting pairs: ties are half a pair, exactly.

scikit-learn's ``roc_auc_score`` gives the same area. It sorts anew for every sample and knows no groups; here rows are
sorted once, and a bootstrap's thousand samples are sums over them.
"""

from __future__ import annotations

import math

import numpy as np

from saccade.pipelines.metrics.rows import Array


class PairCounts:
    """Of each group's pairs of a positive and a negative row, the share whose positive row has the higher score."""

    def __init__(self, scores: Array, labels: Array, groups: Array, count: int) -> None:
        """Sort the rows.

        Args:
            scores: [N], no NaN.
            labels: [N] of 0 and 1.
            groups: [N] int64, 0 .. count - 1.
            count: groups.
        """
        self._order = np.lexsort((scores, groups))
        self._labels, self._groups = labels[self._order].astype(np.float64), groups[self._order]
        self._count = count
        sorted_scores = scores[self._order]
        new = np.ones(len(scores), dtype=bool)
        new[1:] = (sorted_scores[1:] != sorted_scores[:-1]) | (self._groups[1:] != self._groups[:-1])
        self._ties = np.flatnonzero(new)

    def areas(self, weights: Array | None = None) -> Array:
        """[groups] float64 areas, NaN for a group of one class.

        Counts and halves of them are exact in float64 up to 2**53 pairs, so the rows' order leaves no trace.

        Args:
            weights: [N], how often each row counts, whole numbers; None: once.
        """
        if not len(self._order):
            return np.full(self._count, np.nan)
        weight = 1.0 if weights is None else weights[self._order]
        positive = np.add.reduceat(weight * self._labels, self._ties)
        negative = np.add.reduceat(weight * (1 - self._labels), self._ties)
        group = self._groups[self._ties]
        positives = np.bincount(group, positive, self._count)
        negatives = np.bincount(group, negative, self._count)
        # Negatives with lower scores, among all groups up to here; those of earlier groups are taken off again.
        below = np.cumsum(negative) - negative - (np.cumsum(negatives) - negatives)[group]
        won = np.bincount(group, positive * (below + negative / 2), self._count)
        with np.errstate(invalid="ignore"):
            areas: Array = won / (positives * negatives)
        return areas


def area(scores: Array, labels: Array) -> float:
    """The area of all rows together; NaN where they are of one class."""
    return float(PairCounts(scores, labels, np.zeros(len(scores), dtype=np.int64), 1).areas()[0])


def weighted_mean(values: Array, weights: Array) -> float:
    """The mean of the values that are numbers; NaN without any."""
    real = ~np.isnan(values)
    total = float(weights[real].sum())
    return float((values[real] * weights[real]).sum()) / total if total else math.nan
