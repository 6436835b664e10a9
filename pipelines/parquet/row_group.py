"""Decoding a row group slice by slice, so that memory doesn't grow with the size of row groups."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq
from torch import Tensor

from saccade.models.jagged import Jagged
from saccade.pipelines.errors import UserError
from saccade.pipelines.parquet.decode import NullFound, decode, slice_rows
from saccade.pipelines.parquet.files import Files
from saccade.pipelines.parquet.footer import Footer, leaf_columns
from saccade.pipelines.parquet.schema import Column

_SLICE_BYTES = 4 * 2**20  # decoded; what a lane holds besides its window
_REQUEST_BYTES = 2**20  # stored; a larger row group is read piece by piece


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


Decoded = dict[str, Tensor | Jagged]


class RowGroupReader:
    """Decodes row groups from front to back and keeps the slice where it stands; not for several threads.

    A slice is the whole row group, unless that is large. Rows further on in the same row group are found by decoding
    what lies before them and letting it go (0.2 s a million histories of 20 items); for earlier ones it starts again.
    """

    def __init__(self, files: Files, columns: tuple[Column, ...], footers: tuple[Footer, ...]) -> None:
        self._files, self._columns, self._footers = files, columns, footers
        self._file: tuple[int, pq.ParquetFile] | None = None
        self._group: RowGroup | None = None
        self._batches: Iterator[pa.RecordBatch] = iter(())
        self._first = self._last = 0  # rows of the group that the slice holds
        self._slice: Decoded = {}

    def read(self, group: RowGroup, first: int, last: int) -> Iterator[Decoded]:
        """Rows [first, last) of a row group: column name -> values, as views of one slice after the other.

        Raises:
            UserError: it is damaged or can't be read, or has nulls.
        """
        while first < last:
            self._go_to(group, first)
            stop = min(last, self._last)
            begin, end = first - self._first, stop - self._first
            yield {name: slice_rows(column, begin, end) for name, column in self._slice.items()}
            first = stop

    def _go_to(self, group: RowGroup, row: int) -> None:
        if self._group == group and self._first <= row < self._last:
            return
        shown = self._files.shown(self._files.names[group.file])
        here, self._group, self._slice = self._group, None, {}  # nowhere, until the new slice is there
        try:
            if here != group or row < self._first:
                self._start(group)
            while self._last <= row:
                batch = next(self._batches, None)
                if batch is None or batch.num_rows == 0:
                    raise ValueError(f"it ends after {self._last} rows, and its footer says {group.rows}")
                self._first, self._last = self._last, self._last + batch.num_rows
        except (pa.ArrowException, OSError, ValueError, KeyError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise UserError(f"{shown}: row group {group.index} can't be read ({reason}): damaged") from error
        self._slice = self._decode(batch, group, shown)
        self._group = group
        if self._last == group.rows:
            self._batches = iter(())  # lets go of the stored bytes

    def _start(self, group: RowGroup) -> None:
        self._first = self._last = 0
        metadata = self._footers[group.file].metadata
        if self._file is None or self._file[0] != group.file:
            handle = self._files.filesystem.open_input_file(self._files.path(self._files.names[group.file]))
            opened = pq.ParquetFile(
                handle,
                metadata=metadata,
                pre_buffer=False,  # it would hold all of the row group's stored bytes
                buffer_size=_REQUEST_BYTES,
                page_checksum_verification=True,
            )
            self._file = group.file, opened
        names = [column.name for column in self._columns]
        rows = max(1, group.rows * _SLICE_BYTES // max(1, _decoded_bytes(metadata, group.index, names)))
        # One thread: the cores belong to training.
        self._batches = self._file[1].iter_batches(min(rows, group.rows), [group.index], names, use_threads=False)

    def _decode(self, batch: pa.RecordBatch, group: RowGroup, shown: str) -> Decoded:
        decoded: Decoded = {}
        for column in self._columns:
            try:
                decoded[column.name] = decode(pa.chunked_array([batch.column(column.name)]), column.kind)
            except NullFound as error:
                groups = self._footers[group.file].metadata
                row = error.row + self._first + sum(groups.row_group(i).num_rows for i in range(group.index))
                raise UserError(
                    f"{shown} row {row}: column {column.name!r} has a null; drop the row or fill it"
                ) from None
            except (pa.ArrowException, ValueError) as error:
                reason = str(error).splitlines()[0]
                raise UserError(f"{shown}: row group {group.index} can't be read ({reason}): damaged") from error
        return decoded


def _decoded_bytes(metadata: pq.FileMetaData, index: int, columns: list[str]) -> int:
    """About how much memory a row group takes: 8 bytes a number, or more where text and bytes are stored."""
    group = metadata.row_group(index)
    leaves = [group.column(leaf) for name in columns for leaf in leaf_columns(metadata, name)]
    return sum(max(8 * leaf.num_values, leaf.total_uncompressed_size) for leaf in leaves)
