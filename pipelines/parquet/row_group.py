"""Decoding row groups, keeping the recent ones and few files open."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from torch import Tensor

from saccade.models.jagged import Jagged
from saccade.pipelines.errors import UserError
from saccade.pipelines.parquet.decode import NullFound, decode
from saccade.pipelines.parquet.files import Files
from saccade.pipelines.parquet.footer import Footer
from saccade.pipelines.parquet.schema import Column

_OPEN_FILES = 8
_KEPT_BYTES = 128 * 2**20  # of decoded row groups; the newest is kept whatever its size


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


class RowGroupReader:
    """Decodes whole row groups; safe to use from several threads, one decoding at a time."""

    def __init__(self, files: Files, columns: tuple[Column, ...], footers: tuple[Footer, ...]) -> None:
        self._files, self._columns, self._footers = files, columns, footers
        self._open: OrderedDict[int, pq.ParquetFile] = OrderedDict()
        self._kept: OrderedDict[tuple[int, int], dict[str, Tensor | Jagged]] = OrderedDict()
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        return RowGroupReader, (self._files, self._columns, self._footers)

    def read(self, group: RowGroup) -> dict[str, Tensor | Jagged]:
        """Column name -> the row group's values.

        Raises:
            UserError: it is damaged or can't be read, or has nulls.
        """
        key = (group.file, group.index)
        with self._lock:
            if key not in self._kept:
                self._kept[key] = self._decode(group)
                while len(self._kept) > 1 and sum(map(_bytes, self._kept.values())) > _KEPT_BYTES:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(key)
            return self._kept[key]

    def _decode(self, group: RowGroup) -> dict[str, Tensor | Jagged]:
        shown = self._files.shown(self._files.names[group.file])
        decoded: dict[str, Tensor | Jagged] = {}
        try:
            file = self._file(group.file)
            # One thread: the cores belong to training.
            table = file.read_row_group(group.index, [c.name for c in self._columns], use_threads=False)
            for column in self._columns:
                decoded[column.name] = decode(table.column(column.name), column.kind)
        except NullFound as error:
            groups = self._footers[group.file].metadata
            row = error.row + sum(groups.row_group(i).num_rows for i in range(group.index))
            raise UserError(f"{shown} row {row}: column {column.name!r} has a null; drop the row or fill it") from None
        except (pa.ArrowException, OSError, ValueError, KeyError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise UserError(f"{shown}: row group {group.index} can't be read ({reason}): damaged") from error
        if any(len(values) != group.rows for values in decoded.values()):
            raise UserError(f"{shown}: row group {group.index} doesn't hold the {group.rows} rows that its footer says")
        return decoded

    def _file(self, number: int) -> pq.ParquetFile:
        if number not in self._open:
            path = self._files.path(self._files.names[number])
            self._open[number] = pq.ParquetFile(
                self._files.filesystem.open_input_file(path),
                metadata=self._footers[number].metadata,
                page_checksum_verification=True,
            )
            if len(self._open) > _OPEN_FILES:
                self._open.popitem(last=False)[1].close(force=True)
        self._open.move_to_end(number)
        return self._open[number]


def _bytes(columns: dict[str, Tensor | Jagged]) -> int:
    return sum((c.values if isinstance(c, Jagged) else c).nbytes for c in columns.values())
