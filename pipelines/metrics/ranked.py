"""HR, NDCG, recall, precision, MAP and MRR of relevant items' ranks: of all users, by slices, with intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from saccade.pipelines.collective import Collective
from saccade.pipelines.metrics.bootstrap import intervals
from saccade.pipelines.metrics.rows import Array, CollectedRows

AtK = Literal["hr", "ndcg", "recall", "precision", "map", "mrr"]
"""What is measured at each cut-off K."""

SLICE = "slice "


class RankedMetrics:
    """Collects the ranks of relevant items and measures them user by user; a metric is its mean over users.

    With n relevant items at ranks r_1 < r_2 < … of a user:

    - ``hr@K``: 1 where r_1 <= K, else 0;
    - ``ndcg@K``: sum of 1 / log2(1 + r_i) over r_i <= K, divided by what the first min(n, K) places would give
      ("Cumulated gain-based evaluation of IR techniques", Järvelin and Kekäläinen 2002, section 2, gains 0 and 1);
    - ``recall@K``: how many r_i <= K, divided by n; ``precision@K``: divided by K;
    - ``map@K``: sum of i / r_i over r_i <= K, divided by min(n, K);
    - ``mrr@K``: 1 / r_1 where r_1 <= K, else 0; ``mrr``: 1 / r_1.

    Ranks of all workers come together in the rows' order, so the metrics are the same on any number of them, bit for
    bit.
    """

    def __init__(
        self,
        ks: Sequence[int],
        collective: Collective,
        *,
        at_k: Sequence[AtK] = ("hr", "ndcg"),
        suffix: str = "",
        slices: Mapping[str, Sequence[str]] | None = None,
        resamples: int = 0,
        seed: int = 0,
    ) -> None:
        """Collect.

        Args:
            ks: the cut-offs.
            collective: all ranks.
            at_k: what is measured at each of them; ``mrr`` without a cut-off always is.
            suffix: of the metrics' names, for ranks that are not of a full ranking.
            slices: what relevant items are sliced by -> the slices' names.
            resamples: of the bootstrap intervals; 0: none.
            seed: of the resamples.
        """
        self.ks, self.at_k, self.suffix = list(ks), list(at_k), suffix
        self.slices, self.resamples, self.seed = dict(slices or {}), resamples, seed
        columns = {"rank": torch.int64} | {SLICE + name: torch.int64 for name in self.slices}
        self._ranked = CollectedRows(collective, columns)

    def update(self, ranks: Tensor, rows: Tensor, slices: Mapping[str, Tensor] | None = None) -> None:
        """Add relevant items; not a collective.

        Args:
            ranks: [T] int64, from 1.
            rows: [T] int64, the number in the source of the row (the user) that each belongs to.
            slices: for each that the metrics have, [T] int64 indices of its names; -1: in none of them. A user is
                measured in each slice by its relevant items in there, as if there were no others.
        """
        columns = {"rank": ranks} | {SLICE + name: (slices or {})[name] for name in self.slices}
        self._ranked.add(rows, columns)

    def result(self) -> dict[str, float]:
        """The metrics by name; NaN without relevant items. A collective."""
        rows, columns = self._ranked.gather()
        return self._means(self._by_user(rows, columns["rank"]))

    def report(self) -> dict[str, Any]:
        """``slices``: by what -> name -> its ``rows`` (users) and metrics; ``ci``: metric -> [low, high].

        A collective. Slices without a user are left out.
        """
        rows, columns = self._ranked.gather()
        report: dict[str, Any] = {}
        for by, names in self.slices.items():
            index = columns[SLICE + by]
            parts = {
                name: self._by_user(rows[index == place], columns["rank"][index == place])
                for place, name in enumerate(names)
            }
            found = {name: {"rows": part.shape[1], **self._means(part)} for name, part in parts.items() if part.size}
            report.setdefault("slices", {})[by] = found
        if self.resamples:
            values = self._by_user(rows, columns["rank"])
            users = values.shape[1]

            def measure(counts: Array) -> dict[str, float]:
                return dict(zip(self.names, ((values * counts).sum(1) / users).tolist(), strict=True))

            report["ci"] = intervals(measure, users, self.resamples, self.seed)
        return report

    @property
    def names(self) -> list[str]:
        """The metrics' names, in the order in which they are given."""
        return [f"{name}@{k}{self.suffix}" for k in self.ks for name in self.at_k] + [f"mrr{self.suffix}"]

    def _means(self, values: Array) -> dict[str, float]:
        means = values.mean(1).tolist() if values.size else [math.nan] * len(self.names)
        return dict(zip(self.names, means, strict=True))

    def _by_user(self, rows: Array, ranks: Array) -> Array:
        """[names, users] float64."""
        order = np.lexsort((ranks, rows))
        rows, ranks = rows[order], ranks[order].astype(np.float64)
        first = np.flatnonzero(np.r_[True, rows[1:] != rows[:-1]][: len(rows)])
        relevant = np.diff(np.r_[first, len(rows)])
        user = np.repeat(np.arange(len(first)), relevant)
        place = np.arange(len(rows)) - first[user] + 1
        best = 1 / ranks[first]
        most = max(self.ks)
        ideal = np.r_[0.0, np.cumsum(1 / np.log2(np.arange(most) + 2))]  # of the first 0, 1, … places
        values = []
        for k in self.ks:
            hit = ranks <= k

            def total(each: Array, hit: Array = hit) -> Array:
                found: Array = np.bincount(user[hit], each[hit], len(first))
                return found

            hits, possible = total(np.ones(len(rows))), np.minimum(relevant, k)
            found = {
                "hr": (hits > 0).astype(np.float64),
                "ndcg": total(1 / np.log2(1 + ranks)) / ideal[possible],
                "recall": hits / relevant,
                "precision": hits / k,
                "map": total(place / ranks) / possible,
                "mrr": best * (ranks[first] <= k),
            }
            values += [found[name] for name in self.at_k]
        return np.stack([*values, best])
