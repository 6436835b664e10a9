"""Optimizers by name, the same for every engine: of the network (torch's own) and of the tables (sparse formulas)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from saccade.pipelines.adagrad import Adagrad


@dataclass(frozen=True)
class NetworkOptimizer:
    """Settings of the network's optimizer.

    Attributes:
        name: one of torch's.
        learning_rate: before the schedule's factor.
        betas, eps, weight_decay: as in torch; weight decay leaves vectors (norms, biases) alone.
    """

    name: Literal["adamw", "adam", "sgd", "adagrad"] = "adamw"
    learning_rate: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0

    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """The optimizer over these parameters."""
        parameters = list(parameters)
        matrices = [p for p in parameters if p.dim() > 1]
        vectors = [p for p in parameters if p.dim() <= 1]
        groups = [{"params": matrices, "weight_decay": self.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
        groups = [group for group in groups if group["params"]]
        common: dict[str, Any] = {"lr": self.learning_rate}
        if self.name in ("adamw", "adam"):
            kind = torch.optim.AdamW if self.name == "adamw" else torch.optim.Adam
            return kind(groups, betas=self.betas, eps=self.eps, **common)
        if self.name == "adagrad":
            return Adagrad(groups, eps=self.eps, **common)
        return torch.optim.SGD(groups, **common)


def scale_learning_rate(optimizer: torch.optim.Optimizer, settings: NetworkOptimizer, factor: float) -> None:
    """Set every group's rate to the settings' times the schedule's factor."""
    for group in optimizer.param_groups:
        group["lr"] = settings.learning_rate * factor


@dataclass(frozen=True)
class TableOptimizer:
    """Settings of a table's optimizer, which changes only the rows that a step has looked up.

    With a row's summed gradient g: ``sgd`` w -= lr g; ``adagrad`` s += g², w -= lr g / (√s + eps), element by element
    ("Adaptive Subgradient Methods", Duchi et al. 2011); ``rowwise_adagrad`` the same with one s a row, s += mean(g²).

    Attributes:
        name: the formula.
        learning_rate: before the schedule's factor.
        eps: of the denominator.
    """

    name: Literal["sgd", "adagrad", "rowwise_adagrad"] = "rowwise_adagrad"
    learning_rate: float = 0.05
    eps: float = 1e-8

    def state(self, rows: int, dim: int, device: torch.device) -> dict[str, Tensor]:
        """Fresh state of a table: ``sum`` of [rows, dim] (element-wise) or [rows] (row-wise)."""
        if self.name == "sgd":
            return {}
        shape = (rows, dim) if self.name == "adagrad" else (rows,)
        return {"sum": torch.zeros(shape, device=device)}

    @torch.no_grad()
    def update(self, weight: Tensor, state: dict[str, Tensor], ids: Tensor, gradients: Tensor, factor: float) -> None:
        """One step, in place.

        Args:
            weight: [rows, dim].
            state: from :meth:`state`.
            ids: [n] int64 looked-up rows, with repeats.
            gradients: [n, dim] of each look-up.
            factor: of the schedule, on the learning rate.
        """
        rows, place = ids.unique(return_inverse=True)
        g = gradients.new_zeros(len(rows), weight.shape[1]).index_add_(0, place, gradients)
        rate = self.learning_rate * factor
        if self.name == "sgd":
            weight[rows] -= rate * g
            return
        total = state["sum"]
        if self.name == "adagrad":
            total[rows] += g * g
            weight[rows] -= rate * g / (total[rows].sqrt() + self.eps)
        else:
            total[rows] += (g * g).mean(1)
            weight[rows] -= rate * g / (total[rows].sqrt() + self.eps)[:, None]
