"""Which rows a lane reads, in which windows: from Parquet metadata alone."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import torch

from saccade.pipelines.seeds import generator


@dataclass(frozen=True)
class Lane:
    """One of K equal shares of an epoch's rows, read window by window.

    Attributes:
        ranges: the (first, one past last) global rows of the whole epoch in their permuted order.
        begin, end: the lane's share, as places in the ranges laid end to end.
        window: rows a window.
    """

    ranges: Sequence[tuple[int, int]]
    begin: int
    end: int
    window: int

    @property
    def windows(self) -> int:
        """How many windows the lane has."""
        return -(-(self.end - self.begin) // self.window)

    def rows(self, window: int) -> list[tuple[int, int]]:
        """The row ranges of a window, found by bisection: seeking costs the same however far it goes."""
        begin = self.begin + window * self.window
        end = min(begin + self.window, self.end)
        edges = [0, *accumulate(last - first for first, last in self.ranges)]
        found = []
        index = bisect_right(edges, begin) - 1
        while begin < end:
            first, _ = self.ranges[index]
            stop = min(end, edges[index + 1])
            if stop > begin:
                found.append((first + begin - edges[index], first + stop - edges[index]))
            begin, index = max(begin, stop), index + 1
        return found


def deal_lanes(
    row_groups: Sequence[tuple[int, int]], lanes: int, window: int, *, seed: int, epoch: int, shuffle: bool
) -> list[Lane]:
    """Permute the row groups by (seed, epoch) and deal them into lanes of equal rows.

    Args:
        row_groups: (first, one past last) global row of each.
        lanes: K; the first ``rows % K`` lanes have one row more.
        window: rows that a lane shuffles at a time.
        seed: the run's.
        epoch: from 0.
        shuffle: False keeps the source's order, for evaluation.
    """
    order = list(range(len(row_groups)))
    if shuffle:
        order = torch.randperm(len(row_groups), generator=generator(seed, "row groups", epoch)).tolist()
    ranges = [row_groups[i] for i in order]
    total = sum(last - first for first, last in ranges)
    cuts = [lane * (total // lanes) + min(lane, total % lanes) for lane in range(lanes + 1)]
    return [Lane(ranges, begin, end, window) for begin, end in pairwise(cuts)]
