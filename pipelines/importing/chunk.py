"""Some rows as they stand in a file, and where they stand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from saccade.pipelines.importing.intake import Intake
from saccade.pipelines.importing.reject import Reject


@dataclass(frozen=True, eq=False)
class Chunk:
    """Rows of a file before anything is made of their values.

    Attributes:
        file: its path.
        table: [N] rows, columns as the file has them.
        numbers: [N] the line of each, from 1.
        rejects: rows that are none, of the same part of the file.
        text: a row as text.
    """

    file: str
    table: pa.Table
    numbers: npt.NDArray[np.int64]
    rejects: list[Reject]
    text: Callable[[int], str]

    def __len__(self) -> int:
        return len(self.table)


class Faults:
    """What is wrong with the rows of a chunk; the first fault of a row counts."""

    def __init__(self, chunk: Chunk) -> None:
        """None yet."""
        self._chunk = chunk
        self._reasons: dict[int, str] = {}
        self.good = np.ones(len(chunk), bool)

    def add(self, bad: npt.NDArray[np.bool_], reason: str | Callable[[int], str]) -> None:
        """Note that some rows have a fault; ``reason`` may be made for each row."""
        for row in np.flatnonzero(bad & self.good).tolist():
            self._reasons[row] = reason if isinstance(reason, str) else reason(row)
        self.good &= ~bad

    def tell(self, intake: Intake) -> None:
        """Hand all rejects of the chunk over, in the order of lines."""
        chunk = self._chunk
        own = [
            Reject(chunk.file, int(chunk.numbers[row]), reason, chunk.text(row))
            for row, reason in self._reasons.items()
        ]
        for reject in sorted([*chunk.rejects, *own], key=lambda reject: reject.line):
            intake(reject)
