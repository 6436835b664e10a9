"""What lists of recommended items are like, whether or not they are right: coverage, novelty and popularity bias."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from saccade.pipelines.collective import Collective
from saccade.pipelines.metrics.rows import Array

OfLists = Literal["coverage", "novelty", "popularity"]
"""What is measured of the first K recommended items."""


class RecommendedMetrics:
    """Counts how often each item is among a user's first K, and how popular what users had chosen was.

    With c_i the times that training meets item i, of C in all, and m_i the lists that hold it, of M places in all:

    - ``coverage@K``: the share of all items with m_i > 0;
    - ``novelty@K``: sum of m_i · -log2(c_i / C), divided by M: mean self-information ("Solving the apparent
      diversity-accuracy dilemma of recommender systems", Zhou et al. 2010); an item that training never met counts as
      met once;
    - ``arp@K``: average recommendation popularity, the sum of m_i · c_i divided by M ("Challenging the Long Tail
      Recommendation", Yin et al. 2012); ``lift@K``: the same divided by the mean c_i of the items in the users'
      histories, above 1 where recommendations are more popular than what users choose;
    - ``gini@K``: the Gini index of m over all items: 0 where all are recommended equally often, near 1 where a few are.

    Counts are whole numbers, summed over workers, so any number of them measures the same, bit for bit.
    """

    def __init__(self, ks: Sequence[int], measured: Sequence[OfLists], counts: Tensor, collective: Collective) -> None:
        """Collect.

        Args:
            ks: the cut-offs.
            measured: which metrics.
            counts: [items] int64, how often training meets each; item 0 is none.
            collective: all ranks.
        """
        self.ks, self.measured, self.collective = list(ks), list(measured), collective
        self.counts = counts
        self._lists = torch.zeros(len(self.ks), len(counts), dtype=torch.int64)
        self._chosen = torch.zeros(2, dtype=torch.int64)

    def update(self, items: Tensor, histories: Tensor) -> None:
        """Add lists; not a collective.

        Args:
            items: [N, at least the largest K] int64 recommended items, best first; below 1: none.
            histories: [T] int64 the items that the same users had chosen before.
        """
        self._lists, self._chosen = self._lists.to(items.device), self._chosen.to(items.device)
        for index, k in enumerate(self.ks):
            shown = items[:, :k].flatten()
            self._lists[index] += torch.bincount(shown[shown > 0], minlength=self._lists.shape[1])
        popular = self.counts.to(histories.device)[histories].sum()
        self._chosen += torch.stack((popular, popular.new_tensor(len(histories))))

    def result(self) -> dict[str, float]:
        """The metrics by name; NaN without lists. A collective."""
        lists = self.collective.sum(self._lists.clone()).cpu().numpy()
        popular, chosen = self.collective.sum(self._chosen.clone()).tolist()
        counts = self.counts.cpu().numpy()
        information = -np.log2(np.maximum(counts, 1) / max(counts.sum(), 1))
        usual = popular / chosen if chosen else math.nan
        metrics = {}
        for k, shown in zip(self.ks, lists, strict=True):
            places = int(shown.sum())
            arp = int((shown * counts).sum()) / places if places else math.nan
            if "coverage" in self.measured:
                metrics[f"coverage@{k}"] = int((shown > 0).sum()) / (len(shown) - 1) if places else math.nan
            if "novelty" in self.measured:
                metrics[f"novelty@{k}"] = float((shown * information).sum()) / places if places else math.nan
            if "popularity" in self.measured:
                metrics[f"arp@{k}"] = arp
                metrics[f"lift@{k}"] = arp / usual if usual else math.nan
                metrics[f"gini@{k}"] = _gini(shown[1:])
        return metrics


def _gini(counts: Array) -> float:
    total, items = int(counts.sum()), len(counts)
    if not total:
        return math.nan
    ordered = np.sort(counts)
    return int((ordered * (2 * np.arange(1, items + 1) - items - 1)).sum()) / (items * total)
