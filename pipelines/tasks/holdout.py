"""Which part of a history a split's input may hold, and which items after it are to be found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from saccade.models.jagged import Jagged
from saccade.pipelines.errors import UserError
from saccade.pipelines.examples import Examples
from saccade.pipelines.parquet.schema import Column
from saccade.pipelines.task import Split


@dataclass(frozen=True, eq=False)
class Cut:
    """How N histories are cut for a split.

    Attributes:
        lengths: [N] int64, how many items of each history, from its beginning, the input may hold.
        relevant: [N] int64, how many items right after them are to be found; 0 in training and prediction.
        kept: [N] bool, the histories that give the split anything.
    """

    lengths: Tensor
    relevant: Tensor
    kept: Tensor


class Holdout(Protocol):
    """Cuts histories into what is learned from, what validates and what tests."""

    @property
    def columns(self) -> Sequence[Column]:
        """What it reads besides the histories."""

    def cut(self, history: Jagged, examples: Examples, split: Split) -> Cut:
        """How the histories of some rows are cut; ``examples`` are the same rows with its columns."""


class LeaveOneOut:
    """A history's last item is its test, the one before it its validation."""

    columns: Sequence[Column] = ()

    def cut(self, history: Jagged, examples: Examples, split: Split) -> Cut:
        """See Holdout. Training takes histories of 4 items or more, evaluation those of 3 or more."""
        full = history.layout.lengths
        held_out = {"train": 2, "valid": 2, "test": 1, "predict": 0}[split]
        shortest = {"train": 4, "valid": 3, "test": 3, "predict": 1}[split]
        relevant = torch.full_like(full, int(split in ("valid", "test")))
        return Cut((full - held_out).clamp(min=0), relevant, full >= shortest)


class ByTime:
    """What comes before a moment is learned from, what comes after it is to be found: several items of a user.

    Args:
        column: the list column with each item's moment, rising in each row.
        valid_from: validation asks for the items from this moment on, after the input of those before it.
        test_from: the same for the test; validation's items end here.
    """

    def __init__(self, column: str, valid_from: int, test_from: int) -> None:
        self.column, self.valid_from, self.test_from = column, valid_from, test_from
        self.columns: Sequence[Column] = [Column(column, "integers")]

    def cut(self, history: Jagged, examples: Examples, split: Split) -> Cut:
        """See Holdout.

        Raises:
            UserError: a row's moments are not as many as its items, or fall.
        """
        moments = examples.columns[self.column]
        assert isinstance(moments, Jagged)
        layout = history.layout
        unequal = (moments.layout.lengths != layout.lengths).nonzero().squeeze(1)
        if len(unequal):
            raise UserError(
                f"row {int(examples.rows[unequal[0]])}: column {self.column!r} has "
                f"{int(moments.layout.lengths[unequal[0]])} moments for {int(layout.lengths[unequal[0]])} items"
            )
        falls = (moments.values.diff() < 0) & (layout.example.diff() == 0)
        if bool(falls.any()):
            row = int(examples.rows[layout.example[falls.nonzero()[0, 0]]])
            raise UserError(f"row {row}: column {self.column!r} is not in the order of time")

        def before(moment: int) -> Tensor:
            early = (moments.values < moment).long()
            return torch.bincount(layout.example, early, minlength=len(history)).long()

        if split == "train":
            lengths = before(self.valid_from)
            return Cut(lengths, torch.zeros_like(lengths), lengths >= 2)
        if split == "predict":
            return Cut(layout.lengths, torch.zeros_like(layout.lengths), layout.lengths >= 1)
        lengths = before(self.valid_from if split == "valid" else self.test_from)
        relevant = (before(self.test_from) if split == "valid" else layout.lengths) - lengths
        return Cut(lengths, relevant, (lengths >= 1) & (relevant >= 1))
