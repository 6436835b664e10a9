"""What a format tells of its work while it reads."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

from saccade.pipelines.errors import UserError
from saccade.pipelines.importing.reject import Reject

SHOWN = 5
"""Rejects that are shown; all of them are in the file."""


class Intake:
    """Takes what a format has to say besides its rows: rejects, side tables, statistics, and how far it is.

    It is called with each :class:`Reject`; a format that needs nothing else may treat it as a plain function.

    Attributes:
        facts: statistics by name, printed at the end and kept in the schema file; a format adds its own.
        rejected: rows refused so far.
        side_tables: file name -> what is in it.
        scratch: a folder for temporary files, on the disk that the data set goes to; gone at the end.
        first: the first of the rejects.
        block_size: bytes of a file that are taken at once.
        partition_rows: rows that are sorted at once.
    """

    def __init__(
        self,
        folder: Path,
        *,
        strict: bool,
        block_size: int,
        partition_rows: int,
        show: Callable[[str], None],
        advance: Callable[[int, int], None],
    ) -> None:
        """Begin an import.

        Args:
            folder: where the data set is made.
            strict: whether the first reject ends it.
            block_size: bytes of a file to take at once.
            partition_rows: rows to sort at once.
            show: shows one line to the user.
            advance: is told the bytes that were read and how many there are.
        """
        self.facts: dict[str, Any] = {}
        self.rejected = 0
        self.side_tables: dict[str, str] = {}
        self.block_size = block_size
        self.partition_rows = partition_rows
        self.scratch = folder / ".scratch"
        self.scratch.mkdir()
        self.first: Reject | None = None
        self._folder = folder
        self._strict = strict
        self._show = show
        self._advance = advance
        self._rejects: TextIO | None = None

    def __enter__(self) -> Intake:
        return self

    def __exit__(self, *_: object) -> None:
        if self._rejects is not None:
            self._rejects.close()

    def __call__(self, reject: Reject) -> None:
        """Note a row that is left out.

        Raises:
            UserError: the import is strict.
        """
        if self._strict:
            raise UserError(f"{reject} (--strict stops here; without it such rows are left out and listed)")
        if self.first is None:
            self.first = reject
        self.rejected += 1
        if self.rejected <= SHOWN:
            self._show(f"rejected: {reject}")
        elif self.rejected == SHOWN + 1:
            self._show("rejected: … (the others are in rejects.jsonl)")
        if self._rejects is None:
            self._rejects = (self._folder / "rejects.jsonl").open("w", encoding="utf-8")
        # What isn't Unicode in a path (surrogates) is escaped, as everything beyond ASCII is.
        self._rejects.write(json.dumps(dataclasses.asdict(reject)) + "\n")

    def progress(self, done: int, total: int) -> None:
        """Say how many bytes of how many were read."""
        self._advance(done, total)

    def side_table(self, name: str, meaning: str) -> Path:
        """Where to write a table that goes with the rows: ``NAME.parquet`` in the data set's folder."""
        self.side_tables[f"{name}.parquet"] = meaning
        return self._folder / f"{name}.parquet"
