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
        edges: how many rows lie before each range, and behind the last one.
        begin, end: the lane's share, as places in the ranges laid end to end.
        window: rows a window.
    """

    ranges: Sequence[tuple[int, int]]
    edges: Sequence[int]
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
        found = []
        index = bisect_right(self.edges, begin) - 1
        while begin < end:
            first, stop = self.ranges[index][0] - self.edges[index], min(end, self.edges[index + 1])
            if begin < stop:
                found.append((first + begin, first + stop))
            begin, index = stop, index + 1
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
    edges = list(accumulate((last - first for first, last in ranges), initial=0))
    total = edges[-1]
    cuts = [lane * (total // lanes) + min(lane, total % lanes) for lane in range(lanes + 1)]
    return [Lane(ranges, edges, begin, end, window) for begin, end in pairwise(cuts)]
