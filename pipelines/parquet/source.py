"""A split of a data set, opened from its files' footers and read by row number."""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from saccade.pipelines.errors import UserError
from saccade.pipelines.examples import Examples
from saccade.pipelines.parquet.fetched import Fetched
from saccade.pipelines.parquet.files import Files, find_files
from saccade.pipelines.parquet.filter import Condition
from saccade.pipelines.parquet.footer import Footer, read_footer
from saccade.pipelines.parquet.prepare import Preparation
from saccade.pipelines.parquet.row_group import RowGroup, RowGroupReader, Stored
from saccade.pipelines.parquet.schema import Column
from saccade.pipelines.parquet.selection import Selection


@dataclass(frozen=True, eq=False)
class Source:
    """The rows of some Parquet files as one numbered sequence, the files in sorted order.

    It holds no data and no open file, and may be sent to other processes.

    Attributes:
        found: the files and where they are.
        selection: what is read of them, and what is made of it.
        footers: one a file, in the files' order.
        row_groups: those that may hold rows to read, in the rows' order.
        first_rows: the number of each file's first row, and one past the last row of all.
    """

    found: Files
    selection: Selection
    footers: tuple[Footer, ...]
    row_groups: tuple[RowGroup, ...]
    first_rows: tuple[int, ...]

    @staticmethod
    def open(
        path: str,
        split: str | None,
        columns: Sequence[Column],
        *,
        filter: Sequence[Condition] = (),
        prepare: Preparation | None = None,
    ) -> Source:
        """Find the files and check their schemas; reads footers, but no data.

        Args:
            path: a file, folder, glob or URI, see ``find_files``.
            split: which split of a data set folder; none takes ``path`` as it is.
            columns: what ``read`` gives; each must be in every file, or made by ``prepare``, with a type that fits.
            filter: conditions on columns of the files; only rows that fulfil all of them are read. Row groups that
                have none by their statistics are left out. All rows keep their numbers.
            prepare: makes columns from those of the files, after the filter.

        Raises:
            UserError: nothing is there, a file is not Parquet or damaged, a column is missing or of another type, or
                there are no rows.
        """
        files = find_files(path, split)
        with ThreadPoolExecutor(max_workers=8) as pool:
            footers = tuple(pool.map(partial(read_footer, files), files.names))
        selection = Selection(tuple(columns), tuple(filter), prepare)
        for number, (name, footer) in enumerate(zip(files.names, footers, strict=True)):
            try:
                selection.check(footer.metadata.schema.to_arrow_schema(), files.shown(name))
            except UserError as error:
                if number == 0:
                    raise
                raise UserError(f"{error} (as in {files.names[0]}: all files need the same columns)") from None
        groups: list[RowGroup] = []
        first_rows = [0]
        for number, footer in enumerate(footers):
            first_row = first_rows[-1]
            for index in range(footer.metadata.num_row_groups):
                count = footer.metadata.row_group(index).num_rows
                if selection.may_hold(footer.metadata, index):
                    groups.append(RowGroup(number, index, first_row, count))
                first_row += count
            first_rows.append(first_row)
        if first_rows[-1] == 0:
            raise UserError(f"{path}: the files hold no rows")
        if not groups:
            raise UserError(f"{path}: no row passes the filter {' and '.join(map(str, filter))}")
        return Source(files, selection, footers, tuple(groups), tuple(first_rows))

    @property
    def columns(self) -> tuple[Column, ...]:
        """What is read."""
        return self.selection.columns

    @property
    def files(self) -> tuple[str, ...]:
        """The files' paths, as messages show them."""
        return tuple(self.found.shown(name) for name in self.found.names)

    @property
    def rows(self) -> int:
        """How many rows the files have, those that a filter leaves out among them."""
        return self.first_rows[-1]

    @property
    def bytes(self) -> int:
        """The files' sizes on disk, summed."""
        return sum(footer.bytes for footer in self.footers)

    @property
    def types(self) -> dict[str, str]:
        """Column name -> Arrow type in the first file, of the columns that are read."""
        found = self.selection.prepared(self.footers[0].metadata.schema.to_arrow_schema())
        return {column.name: str(found.field(column.name).type) for column in self.columns}

    @property
    def schema_metadata(self) -> dict[str, str]:
        """The first file's own key-value metadata (``label_names`` and such), as text."""
        metadata = self.footers[0].metadata.schema.to_arrow_schema().metadata or {}
        return {key.decode(errors="replace"): value.decode(errors="replace") for key, value in metadata.items()}

    @property
    def fingerprint(self) -> str:
        """Sixteen hex digits that change with the files' relative names, sizes or footers, or with the filter.

        They don't change with the files' place, nor with what is made of the rows that are read.
        """
        digest = hashlib.sha256()
        for name, footer in zip(self.found.names, self.footers, strict=True):
            digest.update(f"{name}\0{footer.bytes}\0{footer.digest}\n".encode())
        for condition in self.selection.filter:
            digest.update(f"{condition}\n".encode())
        return digest.hexdigest()[:16]

    def where(self, row: int) -> str:
        """``FILE row N`` for a global row number; N counts from 0 inside the file."""
        file = bisect_right(self.first_rows, row, hi=len(self.first_rows) - 1) - 1
        return f"{self.found.shown(self.found.names[file])} row {row - self.first_rows[file]}"

    def read(self, first: int, last: int) -> Examples:
        """Decode rows [first, last) and keep nothing; see :meth:`Cursor.read`."""
        return self.cursor().read(first, last)

    def cursor(self) -> Cursor:
        """A place to read from that remembers where it stands."""
        return Cursor(self)

    def _group_of(self, row: int) -> int:
        return max(0, bisect_right(self.row_groups, row, key=lambda group: group.first_row) - 1)


class Cursor:
    """Reads a source window by window; for one thread.

    It keeps the part of the row group in which its last read ended, a few MiB however large the row group is, until a
    read elsewhere. So reading on from there decodes nothing twice.
    """

    def __init__(self, source: Source) -> None:
        """See :meth:`Source.cursor`."""
        self._source = source
        self._reader = RowGroupReader(source.found, source.selection, source.footers)

    def expect(self, first: int) -> None:
        """Begin to fetch the row group of a row, which is read next, from a remote file system; raises nothing."""
        source = self._source
        self._reader.expect(source.row_groups[source._group_of(first)])

    def fetch(self, first: int, last: int) -> Fetched:
        """Read rows [first, last) as they are stored.

        Raises:
            UserError: a row group is damaged or can't be read.
        """
        source = self._source
        if not 0 <= first <= last <= source.rows:
            raise IndexError(f"rows [{first}, {last}) of a source of {source.rows}")
        parts: list[Stored] = []
        number = source._group_of(first)
        while number < len(source.row_groups) and source.row_groups[number].first_row < last:
            group = source.row_groups[number]
            begin, end = max(first - group.first_row, 0), min(last - group.first_row, group.rows)
            parts.extend(self._reader.read(group, begin, end))
            number += 1
        return Fetched(source.found, source.selection, source.footers, parts)

    def read(self, first: int, last: int) -> Examples:
        """Decode those of rows [first, last) that pass the filter.

        The tensors may be views of what is kept: don't write into them.

        Returns:
            The rows with their global numbers, every length 1.

        Raises:
            UserError: a row group is damaged or can't be read, or has nulls.
        """
        return self.fetch(first, last).examples()
