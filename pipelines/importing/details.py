"""Titles and genres of items, from the small file that comes with a data set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from saccade.pipelines.errors import UserError
from saccade.pipelines.importing.intake import Intake
from saccade.pipelines.importing.reject import Reject, shown


class Details:
    """Makes the table ``item_details``: id, title, genres; one row an item, null and empty where nothing is known."""

    def __init__(
        self,
        file: Path,
        intake: Intake,
        *,
        split: Callable[[str], Sequence[str]],
        width: int,
        item: int,
        title: int | None,
        genres: Callable[[Sequence[str]], list[str]] | None,
        header: bool = False,
        encoding: str = "utf-8",
    ) -> None:
        """Nothing is read yet.

        Args:
            file: one item a line.
            intake: takes the rejects.
            split: gives a line's values.
            width: how many there are.
            item: the place of the item's id.
            title: the place of its title.
            genres: gives a row's genres.
            header: whether the first line has the columns' names.
            encoding: of the file.
        """
        self._file, self._intake, self._split, self._width = file, intake, split, width
        self._item, self._title, self._genres, self._header = item, title, genres, header
        self._encoding = encoding

    def __call__(self, items: pa.Array) -> pa.Table:
        """The table, in the order of the items given (text or integers)."""
        wanted = {value: place for place, value in enumerate(items.cast(pa.large_string()).to_pylist())}
        titles: list[str | None] = [None] * len(wanted)
        genres: list[list[str]] = [[] for _ in wanted]
        for row in self._rows():
            place = wanted.get(row[self._item].strip())
            if place is not None:
                titles[place] = row[self._title].strip() if self._title is not None else None
                genres[place] = self._genres(row) if self._genres is not None else []
        columns = {
            "id": pa.array(np.arange(1, len(wanted) + 1)),
            "title": pa.array(titles, pa.string()),
            "genres": pa.array(genres, pa.list_(pa.string())),
        }
        return pa.table(columns)

    def _rows(self) -> list[Sequence[str]]:
        try:
            data = self._file.read_bytes()
        except OSError as error:
            raise UserError(f"{self._file}: can't be read ({error.strerror})") from error
        rows = []
        for number, line in enumerate(data.removeprefix(b"\xef\xbb\xbf").splitlines(), 1):
            if not line or (self._header and number == 1):
                continue
            try:
                row = self._split(line.decode(self._encoding))
            except UnicodeDecodeError:
                self._intake(Reject(str(self._file), number, f"isn't {self._encoding}", shown(line)))
                continue
            if len(row) != self._width:
                reason = f"{len(row)} columns instead of {self._width}"
                self._intake(Reject(str(self._file), number, reason, shown(line)))
                continue
            rows.append(row)
        return rows
