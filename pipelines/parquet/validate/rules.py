"""What the values of a column must be like."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from saccade.models.jagged import Jagged

LARGEST = 2**63 - 1


class Rule(Protocol):
    """Something that every row's value in a column must be."""

    @property
    def column(self) -> str:
        """Which column."""

    @property
    def kind(self) -> str:
        """What a fault of this kind is called."""

    @property
    def mend(self) -> str:
        """What to do about it."""

    @property
    def warning(self) -> bool:
        """Whether rows that break it may stay."""

    def broken_by(self, cells: Tensor | Jagged) -> tuple[Tensor, str]:
        """Which rows break it, in rising order, and what the first of them has."""


@dataclass(frozen=True)
class Within:
    """Integers lie in low .. high; in lists, all of them.

    Attributes:
        noun: what such an integer is called.
        but: why another one is wrong.
    """

    column: str
    kind: str
    low: int
    high: int
    noun: str
    but: str
    mend: str
    warning: bool = False

    def broken_by(self, cells: Tensor | Jagged) -> tuple[Tensor, str]:
        """See :class:`Rule`."""
        values = cells.values if isinstance(cells, Jagged) else cells
        outside = ((values < self.low) | (values > self.high)).nonzero().squeeze(1)
        if not outside.numel():
            return outside, ""
        rows = cells.layout.example[outside].unique() if isinstance(cells, Jagged) else outside
        return rows, self.found(int(values[outside[0]]))

    def found(self, value: int) -> str:
        """What is said of a value outside."""
        return f"column {self.column!r} has {self.noun} {value}, but {self.but}"


@dataclass(frozen=True)
class Long:
    """Lists, texts and the like have at least so many elements (bytes, for text).

    Attributes:
        least: how many.
        but: what becomes of shorter ones.
    """

    column: str
    kind: str
    least: int
    but: str
    mend: str
    warning: bool = True

    def broken_by(self, cells: Tensor | Jagged) -> tuple[Tensor, str]:
        """See :class:`Rule`."""
        assert isinstance(cells, Jagged)
        rows = (cells.layout.lengths < self.least).nonzero().squeeze(1)
        what = "is empty" if self.least == 1 else f"has fewer than {self.least} values"
        return rows, f"column {self.column!r} {what}: {self.but}"


@dataclass(frozen=True)
class Finite:
    """Numbers are neither NaN nor infinite."""

    column: str
    kind: str = "not finite"
    mend: str = "drop the row or mend the value"
    warning: bool = False

    def broken_by(self, cells: Tensor | Jagged) -> tuple[Tensor, str]:
        """See :class:`Rule`."""
        values = cells.values if isinstance(cells, Jagged) else cells
        broken = (~torch.isfinite(values)).nonzero().squeeze(1)
        rows = cells.layout.example[broken].unique() if isinstance(cells, Jagged) else broken
        return rows, f"column {self.column!r} has the value {float(values[broken[0]])}" if rows.numel() else ""
