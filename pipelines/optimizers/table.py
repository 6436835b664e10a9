"""The tables' optimizers: one set of sparse formulas in torch operations, run on every device and by every engine.

FBGEMM's fused kernels know Adam on CUDA only. docs/decisions/0003-the-seam.md has what these cost beside them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Name = Literal["sgd", "adagrad", "rowwise_adagrad", "adam", "partial_rowwise_adam"]

STATES: dict[Name, dict[str, Literal["element", "row"]]] = {
    "sgd": {},
    "adagrad": {"sum": "element"},
    "rowwise_adagrad": {"sum": "row"},
    "adam": {"exp_avg": "element", "exp_avg_sq": "element"},
    "partial_rowwise_adam": {"exp_avg": "element", "exp_avg_sq": "row"},
}
"""What each keeps: a number for each element of the table, or for each row."""

BLOCK = 1 << 14
"""Rows changed at a time: what a step needs besides weights and state doesn't grow with the rows that it changes."""


@dataclass(frozen=True)
class TableOptimizer:
    """Settings of a table's optimizer, which changes only the rows that a step has looked up.

    With a row's summed gradient g, the rate r (times the schedule's factor) and the table's step t, from 1:

    - ``sgd``: w -= r g
    - ``adagrad`` ("Adaptive Subgradient Methods", Duchi et al. 2011): s += g², w -= r g / (√s + eps)
    - ``rowwise_adagrad``: the same with one s a row, s += mean(g²)
    - ``adam`` (Kingma and Ba 2015, algorithm 1, on the rows looked up; t counts steps of the whole table, as in
      ``torch.optim.SparseAdam`` and FBGEMM): m = β₁ m + (1 - β₁) g, v = β₂ v + (1 - β₂) g²,
      w -= r (m / (1 - β₁ᵗ)) / (√(v / (1 - β₂ᵗ)) + eps)
    - ``partial_rowwise_adam``: the same with one v a row, from mean(g²)

    Weight decay is decoupled (Loshchilov and Hutter 2019) in all of them: first w -= r weight_decay w.

    Attributes:
        name: the formula.
        learning_rate: before the schedule's factor.
        eps: of the denominator.
        betas: β₁ and β₂.
        weight_decay: of the rows looked up.
    """

    name: Name = "rowwise_adagrad"
    learning_rate: float = 0.05
    eps: float = 1e-8
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0

    @property
    def row_states(self) -> bool:
        """Whether it keeps a number for a whole row, to which every column of the row adds."""
        return "row" in STATES[self.name].values()

    def state(self, rows: int, dim: int, device: torch.device) -> dict[str, Tensor]:
        """Fresh state of [rows, dim] of a table: zeros of [rows, dim] (element-wise) or [rows] (row-wise)."""
        shapes = {"element": (rows, dim), "row": (rows,)}
        return {name: torch.zeros(shapes[kind], device=device) for name, kind in STATES[self.name].items()}

    @torch.no_grad()
    def update(
        self,
        weight: Tensor,
        state: dict[str, Tensor],
        rows: Tensor,
        g: Tensor,
        *,
        factor: float,
        step: int,
        row_mean: Callable[[Tensor], Tensor] = lambda squares: squares.mean(1),
    ) -> None:
        """One step, in place.

        Args:
            weight: [rows, dim].
            state: from :meth:`state`.
            rows: [r] int64, the distinct rows looked up, see :func:`sum_by_row`.
            g: [r, dim], the summed gradient of each.
            factor: of the schedule, on the learning rate.
            step: how many steps the table has taken, this one included.
            row_mean: gives the mean of [r, dim] squares over whole rows; where the columns are cut, it asks whoever
                holds the others.
        """
        for some, gradients in zip(rows.split(BLOCK), g.split(BLOCK), strict=True):
            self._update(weight, state, some, gradients, self.learning_rate * factor, step, row_mean)

    def _update(
        self,
        weight: Tensor,
        state: dict[str, Tensor],
        rows: Tensor,
        g: Tensor,
        rate: float,
        step: int,
        row_mean: Callable[[Tensor], Tensor],
    ) -> None:
        found = weight.index_select(0, rows)
        if self.weight_decay:
            found *= 1 - rate * self.weight_decay
        if self.name == "sgd":
            direction = g
        elif self.name == "adagrad":
            total = state["sum"].index_select(0, rows).addcmul_(g, g)
            state["sum"].index_copy_(0, rows, total)
            direction = g / total.sqrt_().add_(self.eps)
        elif self.name == "rowwise_adagrad":
            total = state["sum"].index_select(0, rows).add_(row_mean(g * g))
            state["sum"].index_copy_(0, rows, total)
            direction = g / total.sqrt_().add_(self.eps)[:, None]
        else:
            direction = self._adam(state, rows, g, step, row_mean)
        weight.index_copy_(0, rows, found.sub_(direction, alpha=rate))

    def _adam(
        self, state: dict[str, Tensor], rows: Tensor, g: Tensor, step: int, row_mean: Callable[[Tensor], Tensor]
    ) -> Tensor:
        first, second = self.betas
        whole = self.name == "partial_rowwise_adam"
        mean = state["exp_avg"].index_select(0, rows).lerp_(g, 1 - first)
        square = state["exp_avg_sq"].index_select(0, rows).mul_(second)
        square.add_(row_mean(g * g) if whole else g * g, alpha=1 - second)
        state["exp_avg"].index_copy_(0, rows, mean)
        state["exp_avg_sq"].index_copy_(0, rows, square)
        root = square.div_(1 - second**step).sqrt_().add_(self.eps)
        return mean.div_(1 - first**step).div_(root[:, None] if whole else root)


def sum_by_row(ids: Tensor, gradients: Tensor) -> tuple[Tensor, Tensor]:
    """The distinct ids in rising order [r], and each one's summed gradients [r, dim]."""
    rows, place = ids.unique(return_inverse=True)
    return rows, gradients.new_zeros(len(rows), gradients.shape[1]).index_add_(0, place, gradients)
