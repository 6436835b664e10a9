"""Accuracy, macro F1, loss and the report of every class, the same on any number of workers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from saccade.models.losses.cross_entropy import cross_entropy
from saccade.pipelines.collective import Collective


class ClassificationMetrics:
    """Collects predictions and measures them with scikit-learn.

    All ranks' predictions come together in the order of the rows, so how the rows were dealt leaves no trace, not even
    in the last bit of the loss.
    """

    def __init__(self, labels: Sequence[str], collective: Collective) -> None:
        """``labels`` names the classes."""
        self.labels, self.collective = list(labels), collective
        # Each [n, 3] float64: predicted class, true class, loss; and [n] rows.
        self.found: list[Tensor] = [torch.zeros(0, 3, dtype=torch.float64)]
        self.rows: list[Tensor] = [torch.zeros(0, dtype=torch.int64)]
        self._gathered: Tensor | None = None
