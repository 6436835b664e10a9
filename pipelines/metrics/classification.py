"""Accuracy, macro F1, loss and the report of every class, the same on any number of workers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from saccade.pipelines.collective import Collective


class ClassificationMetrics:
    """Collects predictions and measures them with scikit-learn.

    All ranks' predictions come together in the rows' order, so how the rows were dealt leaves no trace, not even in the
    last bit of the loss. They take 32 bytes a row.
    """

    def __init__(self, labels: Sequence[str], collective: Collective) -> None:
        """``labels`` names the classes 0, 1, …."""
        self.labels, self.collective = list(labels), collective
        self._updates: list[Tensor] = []

    def update(self, logits: Tensor, targets: Tensor, rows: Tensor) -> None:
        """Add predictions; not a collective.

        Args:
            logits: [N, C].
            targets: [N] int64 classes.
            rows: [N] int64, the rows' numbers in the source.
        """
        losses = functional.cross_entropy(logits.float(), targets, reduction="none")
        # float64 holds row numbers exactly up to 2**53.
        columns = (rows.to(logits.device), targets, logits.argmax(1), losses)
        self._updates.append(torch.stack([column.double() for column in columns], dim=1))

    @cached_property
    def _gathered(self) -> Tensor:
        """[N, 4]: row, target, prediction and loss of all ranks' rows in the rows' order. A collective."""
        mine = torch.cat(self._updates) if self._updates else torch.zeros(0, 4, dtype=torch.float64)
        everyone = self.collective.gather_rows(mine)[0].cpu()
        return everyone[everyone[:, 0].argsort()]

    def result(self) -> dict[str, float]:
        """``accuracy``, ``macro_f1`` (of the classes that occur) and mean ``loss``; NaN without rows. A collective."""
        from sklearn.metrics import accuracy_score, f1_score

        _, targets, predictions, losses = self._gathered.unbind(1)
        if not len(targets):
            return dict.fromkeys(("accuracy", "macro_f1", "loss"), math.nan)
        return {
            "accuracy": float(accuracy_score(targets.numpy(), predictions.numpy())),
            "macro_f1": float(f1_score(targets.numpy(), predictions.numpy(), average="macro", zero_division=0.0)),
            "loss": math.fsum(losses.tolist()) / len(losses),
        }

    def report(self) -> dict[str, Any]:
        """scikit-learn's ``classification_report`` by label name; empty without rows. A collective."""
        from sklearn.metrics import classification_report

        _, targets, predictions, _ = self._gathered.long().unbind(1)
        present = torch.cat((targets, predictions)).unique().tolist()
        if not present:
            return {}
        report: dict[str, Any] = classification_report(
            targets.numpy(),
            predictions.numpy(),
            labels=present,
            target_names=[self.labels[i] for i in present],
            output_dict=True,
            zero_division=0.0,
        )
        return report
