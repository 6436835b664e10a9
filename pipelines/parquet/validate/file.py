"""Everything that is wrong with one file."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

from saccade.models.jagged import Jagged
from saccade.pipelines.errors import UserError
from saccade.pipelines.parquet.decode import decode
from saccade.pipelines.parquet.files import Files
from saccade.pipelines.parquet.footer import Footer, leaf_columns, statistics
from saccade.pipelines.parquet.schema import Column
from saccade.pipelines.parquet.selection import Selection
from saccade.pipelines.parquet.statistics import stored_range
from saccade.pipelines.parquet.validate.checksums import has_checksums
from saccade.pipelines.parquet.validate.columns import check_columns, compare
from saccade.pipelines.parquet.validate.fault import Fault, FaultsOfFile
from saccade.pipelines.parquet.validate.need import Need
from saccade.pipelines.parquet.validate.nulls import null_rows
from saccade.pipelines.parquet.validate.rules import Within

_SLICE_BYTES = 4 * 2**20  # decoded, about; tensors and masks of it come on top
_REQUEST_BYTES = 2**20
_TRIED = 100
"""Rows of a file that transforms refuse; once so many are found, slices with others are passed over."""


@dataclass
class FileReport:
    """What was found in a file.

    Attributes:
        rows: those that the filter leaves of what could be read.
        row_groups: those that the filter doesn't rule out by their statistics.
        ranges: the smallest and largest value of columns with integers.
        faults: all of them.
    """

    rows: int = 0
    row_groups: int = 0
    ranges: dict[str, tuple[int, int]] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    def widen(self, column: str, low: int, high: int) -> None:
        """Take values from ``low`` to ``high`` into a column's range."""
        before = self.ranges.get(column, (low, high))
        self.ranges[column] = min(before[0], low), max(before[1], high)


class FileValidator:
    """Looks at one file: its schema when it is made, its row groups by :meth:`decode` or :meth:`look_at_statistics`."""

    def __init__(self, files: Files, name: str, footer: Footer, need: Need, first: pa.Schema, first_name: str) -> None:
        """Compare the schema of the file ``name`` with what is needed and with that of the first file."""
        self._files, self._name, self._need = files, name, need
        self._metadata = footer.metadata
        self._schema = footer.metadata.schema.to_arrow_schema()
        self._faults = FaultsOfFile(need.split, files.shown(name))
        self._report = FileReport()
        self._selection = check_columns(need, self._schema, self._faults)
        # Where a condition can't be looked at, nobody knows which rows would be read.
        self._knows_rows = len(self._selection.filter) == len(need.selection.filter)
        compare(need, self._selection.columns, self._schema, first, first_name, self._faults)

    def decode(self, advance: Callable[[], None], stop: threading.Event) -> FileReport:
        """Decode all row groups; ``advance`` is called after each, and ``stop`` ends the work where it is."""
        try:
            self._note_checksums()
            with self._files.open(self._name) as handle:
                file = pq.ParquetFile(
                    handle,
                    metadata=self._metadata,
                    pre_buffer=False,
                    buffer_size=_REQUEST_BYTES,
                    page_checksum_verification=True,
                )
                for index, first in self._row_groups():
                    if stop.is_set():
                        break
                    self._decode(file, index, first, stop)
                    advance()
        except (pa.ArrowException, OSError, ValueError) as error:
            self._faults.add("damaged", f"can't be read ({_reason(error)})", "copy or write it again")
        return self._result()

    def look_at_statistics(self, advance: Callable[[], None]) -> FileReport:
        """Look at what the footer says of nulls and ranges; ``advance`` is called after each row group."""
        try:
            self._note_checksums()
        except (pa.ArrowException, OSError, ValueError) as error:
            self._faults.add("damaged", f"can't be read ({_reason(error)})", "copy or write it again")
        for index, _ in self._row_groups():
            self._report.rows += self._metadata.row_group(index).num_rows
            for column in self._selection.columns:
                self._note_stored_nulls(column, index)
                self._note_stored_range(column, index)
            advance()
        return self._result()

    def _result(self) -> FileReport:
        self._report.faults = self._faults.found
        return self._report

    def _row_groups(self) -> Iterator[tuple[int, int]]:
        """Those that are read: each one's number and first row."""
        first = 0
        for index in range(self._metadata.num_row_groups):
            rows = self._metadata.row_group(index).num_rows
            if rows and self._selection.may_hold(self._metadata, index):
                self._report.row_groups += 1
                yield index, first
            first += rows

    def _note_checksums(self) -> None:
        if not has_checksums(self._files, self._name, self._metadata):
            text = "its pages have no checksums, so that a flipped bit may be read as another number"
            self._faults.add("no checksums", text, "write it with write_page_checksum=True", warning=True)

    def _note_stored_nulls(self, column: Column, index: int) -> None:
        # In lists an empty one counts as a null too.
        flat = column.kind in ("integer", "float", "string", "binary")
        if not flat or column.null is not None or self._selection.filter or self._selection.made(column.name):
            return
        (leaf,) = leaf_columns(self._metadata, column.name)
        found = statistics(self._metadata, index, leaf)
        if found is not None and found.has_null_count and found.null_count:
            text = f"column {column.name!r} has {found.null_count:,} nulls"
            self._faults.add_at("row group", [index], "null", column.name, text, "drop the rows or fill them")

    def _note_stored_range(self, column: Column, index: int) -> None:
        found = stored_range(self._selection, column.name, self._metadata, index)
        if found is None:
            return
        self._report.widen(column.name, *found)
        for rule in self._need.rules:
            if isinstance(rule, Within) and rule.column == column.name:
                outside = [value for value in found if not rule.low <= value <= rule.high]
                if outside:
                    self._faults.add_at("row group", [index], rule.kind, column.name, rule.found(outside[0]), rule.mend)

    def _decode(self, file: pq.ParquetFile, index: int, first: int, stop: threading.Event) -> None:
        names = self._selection.stored(self._schema)
        if not names:
            return
        rows, seen = self._metadata.row_group(index).num_rows, 0
        try:
            for batch in file.iter_batches(self._slice_rows(index, names), [index], names, use_threads=False):
                if stop.is_set():
                    return
                self._look_at(batch, np.arange(first + seen, first + seen + batch.num_rows))
                seen += batch.num_rows
            if seen != rows:
                raise ValueError(f"it ends after {seen} rows, and its footer says {rows}")
        except (pa.ArrowException, OSError, ValueError, KeyError) as error:
            text = f"can't be read ({_reason(error)}): damaged"
            self._faults.add_at("row group", [index], "damaged", "", text, "copy or write the file again")

    def _slice_rows(self, index: int, names: list[str]) -> int:
        group = self._metadata.row_group(index)
        leaves = [group.column(leaf) for name in names for leaf in leaf_columns(self._metadata, name)]
        size: int = max(1, sum(max(8 * leaf.num_values, leaf.total_uncompressed_size) for leaf in leaves))
        rows: int = group.num_rows
        return min(rows, max(1, rows * _SLICE_BYTES // size))

    def _look_at(self, batch: pa.RecordBatch, rows: npt.NDArray[np.int64]) -> None:
        kept, batch = Selection((), self._selection.filter).apply(batch)
        if kept is not None:
            rows = rows[kept.to_numpy()]
        self._report.rows += len(rows)
        if not self._knows_rows:
            return
        for prepared, part in self._prepared(batch, rows):
            for column in self._selection.columns:
                self._look_at_column(column, prepared, part)

    def _prepared(
        self, batch: pa.RecordBatch, rows: npt.NDArray[np.int64]
    ) -> Iterator[tuple[pa.RecordBatch, npt.NDArray[np.int64]]]:
        """The batch with what is made, in as many pieces as it takes to leave out rows that transforms refuse."""
        prepare = self._selection.prepare
        try:
            prepared = prepare(batch) if prepare else batch
        except UserError as error:
            if len(rows) > 1 and self._faults.count("value") < _TRIED:
                half = len(rows) // 2
                yield from self._prepared(batch.slice(0, half), rows[:half])
                yield from self._prepared(batch.slice(half), rows[half:])
            else:
                self._faults.add_at("row", [int(rows[0])], "value", "", str(error), more=len(rows) > 1)
        else:
            yield prepared, rows

    def _look_at_column(self, column: Column, batch: pa.RecordBatch, rows: npt.NDArray[np.int64]) -> None:
        batch = batch.select([column.name])
        if column.null is None:
            nulls = null_rows(batch.column(0))
            if nulls.any():
                text = f"column {column.name!r} has a null"
                self._faults.add_at("row", rows[nulls], "null", column.name, text, "drop the row or fill it")
                batch, rows = batch.filter(pa.array(~nulls)), rows[~nulls]
        try:
            cells = decode(batch, [column])[column.name]
        except (pa.ArrowException, ValueError) as error:
            text = f"column {column.name!r}: {_reason(error)}"
            self._faults.add_at("row", [int(rows[0])], "value", column.name, text, more=True)
            return
        self._note_range(column, cells)
        for rule in self._need.rules:
            if rule.column == column.name:
                broken, text = rule.broken_by(cells)
                where = rows[broken.numpy()]
                self._faults.add_at("row", where, rule.kind, column.name, text, rule.mend, warning=rule.warning)

    def _note_range(self, column: Column, cells: Tensor | Jagged) -> None:
        values = cells.values if isinstance(cells, Jagged) else cells
        if column.kind in ("integer", "integers") and values.numel():
            low, high = torch.aminmax(values)
            self._report.widen(column.name, int(low), int(high))


def _reason(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
