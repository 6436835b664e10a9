"""What most transforms have in common: one column read, one written."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class OneColumn:
    """A transform of one column.

    Attributes:
        column: what is read.
        to: what is written; the same name replaces the column.
    """

    column: str
    to: str

    @property
    def reads(self) -> tuple[str, ...]:
        """The column."""
        return (self.column,)

    @property
    def writes(self) -> tuple[str, ...]:
        """The new one."""
        return (self.to,)

    @property
    def ids(self) -> int | None:
        """Not known."""
        return None
