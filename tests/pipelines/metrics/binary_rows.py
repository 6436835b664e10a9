"""Rows of clicks for :mod:`test_binary`, measured whole or on one of several ranks."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from saccade.pipelines.collective import Collective
from saccade.pipelines.metrics.binary import BinaryMetrics

COUNT = 60
BY = {"length": ["short", "long", "none"]}


def clicks() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Logits that often tie, labels, groups and slices."""
    rng = torch.Generator().manual_seed(11)
    logits = torch.randint(-6, 7, (COUNT,), generator=rng) / 3
    labels = (torch.rand(COUNT, generator=rng) < torch.sigmoid(logits)).long()
    groups = torch.randint(0, 9, (COUNT,), generator=rng) * (1 << 59) - 5  # beyond what a float64 tells apart
    return logits, labels, groups, torch.randint(-1, 2, (COUNT,), generator=rng)


def measured(parts: list[list[int]]) -> dict[str, Any]:
    """The metrics and the report of the rows in ``parts``, an update each."""
    logits, labels, groups, slices = clicks()
    metrics = BinaryMetrics(Collective(), grouped=True, slices=BY, resamples=20, seed=3)
    for part in parts:
        rows = torch.tensor(part, dtype=torch.int64)
        by = {"length": slices[rows]}
        metrics.update(logits[rows], labels[rows], rows, groups=groups[rows], slices=by)
    return {**metrics.result(), **metrics.report()}


def measured_as_rank(dealt: list[list[list[int]]]) -> dict[str, Any]:
    """:func:`measured` of what was dealt to this rank."""
    return measured(dealt[Collective().rank])
