"""What is said of a row that an import refuses."""

from __future__ import annotations

from dataclasses import dataclass

_LONGEST = 200  # characters


@dataclass(frozen=True)
class Reject:
    """A row that is left out.

    Attributes:
        file: where it is.
        line: counted from 1; 0 where the file as a whole is meant (an image, a recording).
        reason: what is wrong with it.
        text: the row itself, cut to 200 characters.
    """

    file: str
    line: int
    reason: str
    text: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", self.text[:_LONGEST])

    def __str__(self) -> str:
        where = f"{self.file} line {self.line}" if self.line else self.file
        return f"{where}: {self.reason}" + (f": {self.text!r}" if self.text else "")


def shown(text: bytes) -> str:
    """What a file has there, as a reject shows it."""
    return text[: 4 * _LONGEST].decode("utf-8", errors="replace")[:_LONGEST]
