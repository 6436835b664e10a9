"""Between packed tokens and the padded places of groups, both ways by one gather.

Every token stands at exactly one place, so the gradient of either way is the other way's gather: no sums over an index,
which a CPU does one element at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from saccade.models.attention.backends.head_rows import HeadRows, head_rows


@dataclass(frozen=True, eq=False)
class Places:
    """Where tokens stand in groups of [rows, length] laid end to end.

    Attributes:
        index: [P] int64, the token at each place; a padded place repeats its example's last token.
        back: [T] int64, the place of each token.
        padded: int64, the padded places.
        groups: each group's rows and length.
        moved: whether any token leaves its place; groups of tokens that all stay are views.
    """

    index: Tensor
    back: Tensor
    padded: Tensor
    groups: Sequence[tuple[int, int]]
    moved: bool
    _rows: dict[tuple[int, int], HeadRows] = field(default_factory=dict)

    def spread(self, values: Tensor) -> Tensor:
        """Tokens [T, ...] -> places [P, ...]; a padded place passes no gradient on."""
        spread: Tensor = _Spread.apply(values, self) if self.moved else values  # type: ignore[no-untyped-call]
        return spread

    def collect(self, places: Tensor) -> Tensor:
        """Places [P, ...] -> tokens [T, ...]."""
        collected: Tensor = _Collect.apply(places, self) if self.moved else places  # type: ignore[no-untyped-call]
        return collected

    def rows(self, heads: int, parts: int = 1) -> HeadRows:
        """How ``heads`` heads of so many tensors in one are gathered row by row; kept for other layers of the batch."""
        if (heads, parts) not in self._rows:
            self._rows[heads, parts] = head_rows(self.index, self.back, self.padded, self.groups, heads, parts)
        return self._rows[heads, parts]

    def gather(self, values: Tensor) -> Tensor:
        """``spread`` without gradients: a padded place holds its example's last token."""
        return values.index_select(0, self.index) if self.moved else values

    def scatter(self, values: Tensor) -> Tensor:
        """Tokens [T, ...] -> places [P, ...], zero at padded ones."""
        if not self.moved:
            return values
        return values.new_zeros(self.index.numel(), *values.shape[1:]).index_copy_(0, self.back, values)

    def select(self, places: Tensor) -> Tensor:
        """``collect`` without gradients."""
        return places.index_select(0, self.back) if self.moved else places


class _Spread(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, places: Places) -> Tensor:
        ctx.places = places
        return places.gather(values)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return ctx.places.select(gradient), None


class _Collect(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, places: Places) -> Tensor:
        ctx.places = places
        return places.select(values)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return ctx.places.scatter(gradient), None
