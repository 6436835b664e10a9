"""What a model recommends for some histories."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa


@dataclass(frozen=True, eq=False)
class Recommendations:
    """The best items of N histories; a history that the model can't go by, being empty, has none.

    Attributes:
        table: N rows with ``items`` (lists of int64, or of strings where a vocabulary numbered them) and ``scores``
            (lists of float32), best first.
    """

    table: pa.Table

    def __len__(self) -> int:
        return len(self.table)

    def __iter__(self) -> Iterator[list[tuple[int | str, float]]]:
        for items, scores in zip(self.items, self.scores, strict=True):
            yield list(zip(items, scores, strict=True))

    @property
    def items(self) -> list[list[int | str]]:
        """A list for each history."""
        found: list[list[int | str]] = self.table["items"].to_pylist()
        return found

    @property
    def scores(self) -> list[list[float]]:
        """A list for each history, a number for each of its items."""
        found: list[list[float]] = self.table["scores"].to_pylist()
        return found
