"""Decoding a row group slice by slice, so that memory doesn't grow with the size of row groups."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from saccade.pipelines.errors import UserError
from saccade.pipelines.parquet.files import Files
from saccade.pipelines.parquet.footer import Footer, leaf_columns, stored_ranges
from saccade.pipelines.parquet.read_ahead import ReadAhead
from saccade.pipelines.parquet.retry import RemoteError
from saccade.pipelines.parquet.selection import Selection

_SLICE_BYTES = 2**20  # decoded at least; smaller reads find the next rows here already
_WHOLE_BYTES = 4 * 2**20  # stored; a column of a row group that has no more is read at once, in 5 % less time
_REQUEST_BYTES = 2**20  # the pieces that larger ones are read in, so that memory doesn't grow with them


@dataclass(frozen=True)
class RowGroup:
    """A run of rows that is stored together.

    Attributes:
        file: the file's number in the source.
        index: the row group's number in the file.
        first_row: the global number of its first row.
        rows: how many it has.
    """

    file: int
    index: int
    first_row: int
    rows: int


@dataclass(frozen=True, eq=False)
class Stored:
    """Some rows of a row group as they are stored.

    Attributes:
        group: the row group.
        first: the first one's number in it.
        batch: their columns.
    """

    group: RowGroup
    first: int
    batch: pa.RecordBatch


class RowGroupReader:
    """Decodes row groups from front to back, as many rows at a time as are asked for; not for several threads.

    Decoding a window by itself keeps memory small, saves putting slices together, and is a quarter faster than decoding
    whole row groups of 10 MB, because what was decoded is still in the processor's cache when it is used. Rows further
    on in the same row group are found by decoding what lies before them and letting it go (0.2 s a million histories of
    20 items); for earlier ones it starts again.
    """

    def __init__(self, files: Files, selection: Selection, footers: tuple[Footer, ...]) -> None:
        self._files, self._selection, self._footers = files, selection, footers
        self._ahead = ReadAhead(files)
        self._file: tuple[int, pq.ParquetFile] | None = None
        self._group: RowGroup | None = None
        self._batches: Iterator[pa.RecordBatch] = iter(())
        self._least = 1  # rows that are worth decoding at a time
        self._first = self._last = 0  # rows of the group that the slice is made from
        self._slice: pa.RecordBatch | None = None

    def expect(self, group: RowGroup) -> None:
        """Begin to fetch what a remote row group stores, where it isn't read from already."""
        if self._files.storage.is_remote and group != self._group:
            self._ahead.expect(self._files.names[group.file], self._ranges(group))

    def read(self, group: RowGroup, first: int, last: int) -> Iterator[Stored]:
        """Rows [first, last) of a row group, as views of one slice after the other.

        Raises:
            UserError: it is damaged or can't be read.
        """
        while first < last:
            found = self._go_to(group, first, last)
            stop = min(last, self._last)
            yield Stored(group, first, found.slice(first - self._first, stop - first))
            if stop == self._last:
                self._slice = None
            first = stop

    def _go_to(self, group: RowGroup, row: int, last: int) -> pa.RecordBatch:
        """The slice that begins with, or holds, a row; of the rows up to ``last`` where it is a new one."""
        if self._slice is not None and self._group == group and self._first <= row < self._last:
            return self._slice
        shown = self._files.shown(self._files.names[group.file])
        here, self._group, self._slice = self._group, None, None  # nowhere, until the new slice is there
        try:
            if here != group or row < self._last:
                self._start(group)
            while self._last <= row:
                batch = self._next(min(row - self._last, self._least) or max(last - row, self._least))
                if batch is None or batch.num_rows == 0:
                    raise ValueError(f"it ends after {self._last} rows, and its footer says {group.rows}")
                self._first, self._last = self._last, self._last + batch.num_rows
        except RemoteError as error:
            raise UserError(f"row group {group.index} of {error}") from error
        except (pa.ArrowException, OSError, ValueError, KeyError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise UserError(f"{shown}: row group {group.index} can't be read ({reason}): damaged") from error
        self._slice, self._group = batch, group
        if self._last == group.rows:
            self._batches = iter(())  # lets go of the stored bytes
        return self._slice

    def _start(self, group: RowGroup) -> None:
        self._first = self._last = 0
        metadata = self._footers[group.file].metadata
        # A remote file holds one row group's bytes, so each is opened for itself.
        if self._file is None or self._file[0] != group.file or self._files.storage.is_remote:
            opened = pq.ParquetFile(
                self._ahead.open(self._files.names[group.file], self._ranges(group)),
                metadata=metadata,
                pre_buffer=False,  # it would hold all of the row group's stored bytes
                buffer_size=_REQUEST_BYTES if self._largest(group) > _WHOLE_BYTES else 0,
                page_checksum_verification=True,
            )
            self._file = group.file, opened
        names = self._stored(group)
        self._least = max(1, group.rows * _SLICE_BYTES // max(1, _decoded_bytes(metadata, group.index, names)))
        # One thread: the cores belong to training.
        self._batches = self._file[1].iter_batches(self._least, [group.index], names, use_threads=False)

    def _largest(self, group: RowGroup) -> int:
        """The stored bytes of the largest column that is read of any row group that the opened file is for."""
        metadata, columns = self._footers[group.file].metadata, self._stored(group)
        leaves = [leaf for name in columns for leaf in leaf_columns(metadata, name)]
        groups = [group.index] if self._files.storage.is_remote else range(metadata.num_row_groups)
        sizes = (metadata.row_group(i).column(leaf) for i in groups for leaf in leaves)
        return max((column.total_compressed_size for column in sizes), default=0)

    def _stored(self, group: RowGroup) -> list[str]:
        return self._selection.stored(self._footers[group.file].metadata.schema.to_arrow_schema())

    def _ranges(self, group: RowGroup) -> list[tuple[int, int]]:
        return stored_ranges(self._footers[group.file], group.index, self._stored(group))

    def _next(self, rows: int) -> pa.RecordBatch | None:
        """The next so many rows; where pyarrow gives fewer or more, the slice is just another one."""
        assert self._file is not None
        self._file[1].reader.set_batch_size(rows)
        return next(self._batches, None)


def _decoded_bytes(metadata: pq.FileMetaData, index: int, columns: list[str]) -> int:
    """About how much memory a row group takes: 8 bytes a number, or more where text and bytes are stored."""
    group = metadata.row_group(index)
    leaves = [group.column(leaf) for name in columns for leaf in leaf_columns(metadata, name)]
    return sum(max(8 * leaf.num_values, leaf.total_uncompressed_size) for leaf in leaves)
