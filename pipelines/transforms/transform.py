"""What a transform is to the chain, and what learns from the training rows before there is one."""

from __future__ import annotations

from typing import Protocol

import pyarrow as pa


class Transform(Protocol):
    """Makes columns of columns, each row from the same row alone. A null stays null unless it says otherwise."""

    @property
    def reads(self) -> tuple[str, ...]:
        """The columns that it takes, in the order of the arguments."""

    @property
    def writes(self) -> tuple[str, ...]:
        """The columns that it gives, in the order of the results; one that it reads as well is replaced."""

    def __call__(self, *columns: pa.Array) -> tuple[pa.Array, ...]:
        """The new columns of N rows; also for N = 0.

        Raises:
            UserError: a column has a type or a value that it doesn't take; the message doesn't name the column.
        """

    @property
    def ids(self) -> int | None:
        """What it writes are ids 0 .. ids - 1; None where it can't tell."""


class Accumulator(Protocol):
    """Learns from a column in one pass, in memory that doesn't grow with the rows."""

    def add(self, column: pa.Array) -> None:
        """Take some rows; also none, which tell the type.

        Raises:
            UserError: the column has a type that it doesn't take.
        """

    def result(self) -> pa.Table:
        """What was learned, as it is kept with the run.

        Raises:
            UserError: there was nothing to learn from.
        """
