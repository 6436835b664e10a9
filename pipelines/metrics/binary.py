"""Metrics of clicks and other yes-or-no labels, the same on any number of workers, bit for bit."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from saccade.pipelines.collective import Collective
from saccade.pipelines.metrics.auc import PairCounts, weighted_mean
from saccade.pipelines.metrics.bootstrap import intervals
from saccade.pipelines.metrics.rows import Array, CollectedRows

BINS = 15
"""Ranges of probability, equally wide, that the expected calibration error compares in."""

SLICE = "slice "


class BinaryMetrics:
    """Collects logits and labels and measures them together.

    Logits rather than probabilities: far from 0 a probability in floating point is 1 for different logits, which then
    tie, and its logarithm is lost.
    """

    def __init__(
        self,
        collective: Collective,
        *,
        grouped: bool = False,
        slices: Mapping[str, Sequence[str]] | None = None,
        resamples: int = 0,
        seed: int = 0,
    ) -> None:
        """Collect.

        Args:
            collective: all ranks.
            grouped: whether rows belong to groups (users, as a rule): ``gauc`` then is measured, and the intervals are
                over groups instead of rows.
            slices: what rows are sliced by -> the slices' names (``{"history_length": ["0", "1-9", "10+"]}``).
            resamples: of the bootstrap intervals; 0: none.
            seed: of the resamples.
        """
        self.slices, self.grouped = dict(slices or {}), grouped
        self.resamples, self.seed = resamples, seed
        columns = {"logit": torch.float64, "label": torch.float64}
        columns |= {"group": torch.int64} if grouped else {}
        columns |= {SLICE + name: torch.int64 for name in self.slices}
        self._rows = CollectedRows(collective, columns)

    def update(
        self,
        logits: Tensor,
        labels: Tensor,
        rows: Tensor,
        *,
        groups: Tensor | None = None,
        slices: Mapping[str, Tensor] | None = None,
    ) -> None:
        """Add rows; not a collective.

        Args:
            logits: [N] log odds of label 1.
            labels: [N] of 0 and 1.
            rows: [N] int64, the rows' numbers in the source.
            groups: [N] int64 ids of any value; given if the metrics are ``grouped``.
            slices: for each that the metrics have, [N] int64 indices of its names; -1: in none of them.
        """
        columns = {"logit": logits, "label": labels}
        if self.grouped:
            if groups is None:
                raise ValueError("BinaryMetrics: grouped metrics need groups")
            columns["group"] = groups
        columns |= {SLICE + name: (slices or {})[name] for name in self.slices}
        self._rows.add(rows, columns)

    def result(self) -> dict[str, float]:
        """The metrics by name. A collective.

        - ``auc``: area under the ROC curve; ``gauc``: its mean over groups of both classes, weighted by their rows
          ("Deep Interest Network for Click-Through Rate Prediction", Zhou et al. 2018, section 6.2);
        - ``log_loss``, and ``ne``: the same divided by the entropy of the labels' mean ("Practical Lessons from
          Predicting Clicks on Ads at Facebook", He et al. 2014, section 3);
        - ``calibration``: mean prediction / mean label (the same paper); ``ece``: expected calibration error over 15
          equal ranges of probability ("On Calibration of Modern Neural Networks", Guo et al. 2017, section 2);
        - ``accuracy``, of a prediction of 1 where the probability is above 1/2.

        NaN where a metric has no value: without rows, with one class alone where both are needed, and all of them where
        a logit is no number.
        """
        measured, _ = self._measured(slice(None))
        return measured.measure()

    def report(self) -> dict[str, Any]:
        """``slices``: by what -> name -> its ``rows`` and metrics; ``ci``: metric -> [low, high]. A collective."""
        report: dict[str, Any] = {}
        measured, columns = self._measured(slice(None))
        if self.slices:
            report["slices"] = {}
            for by, names in self.slices.items():
                index = columns[SLICE + by]
                parts = [(name, self._measured(index == place)[0]) for place, name in enumerate(names)]
                report["slices"][by] = {name: {"rows": part.rows, **part.measure()} for name, part in parts}
        if self.resamples:
            report["ci"] = intervals(measured.measure, measured.units, self.resamples, self.seed)
        return report

    def _measured(self, chosen: Array | slice) -> tuple[_Predictions, dict[str, Array]]:
        _, columns = self._rows.gather()
        groups = columns["group"][chosen] if self.grouped else None
        return _Predictions(columns["logit"][chosen], columns["label"][chosen], groups), columns


class _Predictions:
    """Rows whose metrics are sums, in which each row, or each group of rows, counts a number of times."""

    def __init__(self, logits: Array, labels: Array, groups: Array | None) -> None:
        self.rows, self.grouped = len(logits), groups is not None
        self._known = not np.isnan(logits).any()
        if groups is None:
            self.units, self._unit = self.rows, np.arange(self.rows)
        else:
            found, self._unit = np.unique(groups, return_inverse=True)
            self.units = len(found)
        self._labels = labels
        if not self._known:
            return
        # log(1 + exp(-z)) for a click, log(1 + exp(z)) for none: no probability that rounds to 0 or 1.
        self._losses = np.logaddexp(0, np.where(labels > 0, -logits, logits))
        self._probabilities = np.exp(-np.logaddexp(0, -logits))
        self._right = (logits > 0) == (labels > 0)
        self._bin = np.minimum((self._probabilities * BINS).astype(np.int64), BINS - 1)
        self._pairs = PairCounts(logits, labels, np.zeros(self.rows, dtype=np.int64), 1)
        if self.grouped:
            self._areas = PairCounts(logits, labels, self._unit, self.units).areas()
            self._sizes = np.bincount(self._unit, minlength=self.units).astype(np.float64)

    def measure(self, counts: Array | None = None) -> dict[str, float]:
        """The metrics where each unit counts ``counts`` ([units]) times; None: once."""
        names = ("auc", *(("gauc",) if self.grouped else ()), "log_loss", "ne", "calibration", "ece", "accuracy")
        weights = np.ones(self.rows) if counts is None else counts[self._unit]
        rows = float(weights.sum())
        if not rows or not self._known:
            return dict.fromkeys(names, math.nan)
        clicks, predicted = float((weights * self._labels).sum()), float((weights * self._probabilities).sum())
        rate, loss = clicks / rows, float((weights * self._losses).sum()) / rows
        gaps = np.bincount(self._bin, weights * (self._probabilities - self._labels), BINS)
        found = {
            "auc": float(self._pairs.areas(weights)[0]),
            "log_loss": loss,
            "ne": loss / -(rate * math.log(rate) + (1 - rate) * math.log1p(-rate)) if 0 < rate < 1 else math.nan,
            "calibration": predicted / clicks if clicks else math.nan,
            "ece": float(np.abs(gaps).sum()) / rows,
            "accuracy": float((weights * self._right).sum()) / rows,
        }
        if self.grouped:
            sizes = self._sizes if counts is None else self._sizes * counts
            found["gauc"] = weighted_mean(self._areas, sizes)
        return {name: found[name] for name in names}
