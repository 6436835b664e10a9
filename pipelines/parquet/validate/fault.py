"""What is found wrong with a data set, all of one kind in one file together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

SHOWN = 5
"""Places of a fault that are named; the others are counted."""

Unit = Literal["row", "row group"]


@dataclass(frozen=True)
class Fault:
    """Something wrong, or only not as good as it might be.

    Attributes:
        split: of the data set.
        file: or folder, as messages show it.
        kind: a word or two, equal for faults that belong together.
        found: what was found; of several places at the first.
        mend: what to do.
        warning: whether it may stay.
        unit: what ``places`` counts; none for a fault of the file as a whole.
        places: the first few rows or row groups that have it, counted from 0 in the file.
        count: how many have it.
        more: whether there may be more than were counted.
    """

    split: str
    file: str
    kind: str
    found: str
    mend: str = ""
    warning: bool = False
    unit: Unit | None = None
    places: tuple[int, ...] = ()
    count: int = 1
    more: bool = False

    @property
    def text(self) -> str:
        """What was found and what to do."""
        return f"{self.found}: {self.mend}" if self.mend else self.found

    def __str__(self) -> str:
        """One line."""
        if self.unit is None:
            return f"{self.file}: {self.text}"
        if self.count == 1 and not self.more:
            return f"{self.file} {self.unit} {self.places[0]}: {self.text}"
        named = ", ".join(map(str, self.places)) + (", …" if self.count > len(self.places) else "")
        units = f"{self.count:,} {self.unit}{'s' if self.count > 1 else ''}{' or more' if self.more else ''}"
        return f"{self.file}: {units} ({named}), the first: {self.text}"


class FaultsOfFile:
    """Collects a file's faults; its memory grows with their kinds, not with the rows."""

    def __init__(self, split: str, file: str) -> None:
        """Begin with none; ``file`` as messages show it."""
        self.split, self.file = split, file
        self._of_file: list[Fault] = []
        self._of_places: dict[tuple[str, str], Fault] = {}

    @property
    def found(self) -> list[Fault]:
        """All of them."""
        return [*self._of_file, *self._of_places.values()]

    def add(self, kind: str, found: str, mend: str = "", *, warning: bool = False) -> None:
        """Note a fault of the file as a whole."""
        self._of_file.append(Fault(self.split, self.file, kind, found, mend, warning))

    def add_at(
        self,
        unit: Unit,
        places: Sequence[int] | npt.NDArray[np.int64],
        kind: str,
        column: str,
        found: str,
        mend: str = "",
        *,
        warning: bool = False,
        more: bool = False,
    ) -> None:
        """Note where else a fault is, in rising order; it is the same fault if kind and column are."""
        if len(places) == 0:
            return
        known = self._of_places.get((kind, column))
        if known is None:
            known = Fault(self.split, self.file, kind, found, mend, warning, unit, count=0)
        self._of_places[kind, column] = replace(
            known,
            places=(*known.places, *map(int, places[:SHOWN]))[:SHOWN],
            count=known.count + len(places),
            more=known.more or more,
        )

    def count(self, kind: str) -> int:
        """How many places have faults of a kind."""
        return sum(fault.count for fault in self.found if fault.kind == kind)
