"""What a data set holds: sizes, columns, ranges and lengths."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import types

from saccade.pipelines.errors import UserError
from saccade.pipelines.parquet.files import Files, find_files, join, splits, subfolders
from saccade.pipelines.parquet.footer import Footer, leaf_columns, read_footer, statistics
from saccade.pipelines.parquet.lengths import Lengths

_SHOWN_AFTER = 2.0  # seconds until the progress bar appears


def describe(path: str) -> dict[str, Any]:
    """Describe the files of ``path``, each split by itself.

    Numbers come from the footers; only columns with lengths (lists, text, bytes) or without statistics are decoded, a
    row group at a time. A progress bar is on stderr if that takes long.

    Returns:
        {"path", "splits": {name: {"files", "rows", "row_groups", "compressed_bytes", "uncompressed_bytes", "columns"}}}
        where ``columns`` has for each name its "type", "nulls", "min", "max" (None where the type has no order or
        there is nothing) and, for those with lengths, "lengths" (see ``Lengths.summary``). Splits are the folder's
        train, valid and test first, then its other subfolders; a path without splits is one, named "all".

    Raises:
        UserError: nothing is there, or a file is not Parquet, damaged or of another schema than the first.
    """
    opened = {name: _open(files) for name, files in _parts(path)}
    # Imported late: tqdm takes a moment, and only this needs it.
    from tqdm import tqdm

    total = sum(f.metadata.num_row_groups for _, footers in opened.values() for f in footers)
    with tqdm(total=total, unit=" row groups", desc="reading", delay=_SHOWN_AFTER, leave=False) as progress:
        described = {name: _describe(files, footers, progress) for name, (files, footers) in opened.items()}
    return {"path": path, "splits": described}


def _parts(path: str) -> Iterator[tuple[str, Files]]:
    has = splits(path)
    if not has:
        yield "all", find_files(path)
        return
    for name in has:
        yield name, find_files(join(path, name))
    for name in subfolders(path):
        if name not in has:
            try:
                yield name, find_files(join(path, name))
            except UserError:  # a folder of something else
                continue


def _open(files: Files) -> tuple[Files, list[Footer]]:
    footers = [read_footer(files, name) for name in files.names]
    schema = footers[0].metadata.schema.to_arrow_schema()
    for name, footer in zip(files.names, footers, strict=True):
        other = footer.metadata.schema.to_arrow_schema()
        if not other.equals(schema):
            raise UserError(
                f"{files.shown(name)}: its columns differ from {files.names[0]}'s: {_difference(schema, other)}"
            )
    return files, footers


def _difference(schema: pa.Schema, other: pa.Schema) -> str:
    types_, others = ({field.name: str(field.type) for field in s} for s in (schema, other))
    for name in [*types_, *others]:
        if types_.get(name) != others.get(name):
            return f"{name!r} has type {others.get(name, '(missing)')} and not {types_.get(name, '(missing)')}"
    return "in their order or in which may be null"


def _describe(files: Files, footers: list[Footer], progress: Any) -> dict[str, Any]:
    schema = footers[0].metadata.schema.to_arrow_schema()
    columns = {field.name: _ColumnSummary(field) for field in schema}
    compressed = uncompressed = 0
    for name, footer in zip(files.names, footers, strict=True):
        metadata = footer.metadata
        with files.open(name) as handle:
            file = pq.ParquetFile(handle, metadata=metadata)
            for index in range(metadata.num_row_groups):
                group = metadata.row_group(index)
                stored = [group.column(i) for i in range(group.num_columns)]
                compressed += sum(column.total_compressed_size for column in stored)
                uncompressed += sum(column.total_uncompressed_size for column in stored)
                for column, summary in columns.items():
                    leaves = leaf_columns(metadata, column)
                    if len(leaves) == 1 and summary.add_statistics(
                        statistics(metadata, index, leaves[0]), stored[leaves[0]].num_values
                    ):
                        continue
                    try:
                        summary.add(file.read_row_group(index, [column], use_threads=False).column(column))
                    except (pa.ArrowException, OSError, ValueError) as error:
                        reason = str(error).splitlines()[0]
                        raise UserError(f"{files.shown(name)}: row group {index} can't be read ({reason})") from error
                progress.update()
    return {
        "files": len(footers),
        "rows": sum(footer.metadata.num_rows for footer in footers),
        "row_groups": sum(footer.metadata.num_row_groups for footer in footers),
        "compressed_bytes": compressed,
        "uncompressed_bytes": uncompressed,
        "columns": {name: summary.result() for name, summary in columns.items()},
    }


class _ColumnSummary:
    """What is known of one column so far."""

    def __init__(self, field: pa.Field) -> None:
        self.type = field.type
        self.nulls = 0
        self.low: Any = None
        self.high: Any = None
        self.lengths = Lengths() if _has_lengths(field.type) else None

    def add_statistics(self, found: pq.Statistics | None, values: int) -> bool:
        """Take the footer's word for a row group of so many values; False where it doesn't say enough."""
        if self.lengths is not None or found is None or not found.has_null_count:
            return False
        if found.has_min_max:
            self._widen(found.min, found.max)
        elif found.null_count < values:
            return False
        self.nulls += found.null_count
        return True

    def add(self, array: pa.ChunkedArray) -> None:
        """Count a decoded row group."""
        self.nulls += array.null_count
        for chunk in array.chunks:
            if self.lengths is not None:
                self.lengths.add(_lengths(chunk))
            values = _values(chunk)
            if values is not None and len(values) > values.null_count:
                found = pc.min_max(values)
                self._widen(found["min"].as_py(), found["max"].as_py())

    def result(self) -> dict[str, Any]:
        found = {"type": str(self.type), "nulls": self.nulls, "min": self.low, "max": self.high}
        return found if self.lengths is None else {**found, "lengths": self.lengths.summary()}

    def _widen(self, low: Any, high: Any) -> None:
        plain = isinstance(low, int | float | str)
        low, high = (low, high) if plain else (str(low), str(high))  # dates and decimals, for JSON
        self.low = low if self.low is None else min(self.low, low)
        self.high = high if self.high is None else max(self.high, high)


def _is_list(type_: pa.DataType) -> bool:
    return bool(types.is_list(type_) or types.is_large_list(type_) or types.is_fixed_size_list(type_))


def _is_bytes(type_: pa.DataType) -> bool:
    return bool(
        types.is_string(type_) or types.is_large_string(type_) or types.is_binary(type_) or types.is_large_binary(type_)
    )


def _has_lengths(type_: pa.DataType) -> bool:
    return _is_list(type_) or _is_bytes(type_)


def _lengths(array: pa.Array) -> npt.NDArray[np.integer[Any]]:
    """The lengths of rows that are not null: elements of lists, bytes of text."""
    counted = pc.list_value_length(array) if _is_list(array.type) else pc.binary_length(array)
    lengths: npt.NDArray[np.integer[Any]] = counted.drop_null().to_numpy(zero_copy_only=False)
    return lengths


def _values(array: pa.Array) -> pa.Array | None:
    """The numbers in an array of them or in its lists; None for text, bytes and what is nested deeper."""
    values = array.flatten() if _is_list(array.type) else array
    ordered = types.is_integer(values.type) or types.is_floating(values.type) or types.is_temporal(values.type)
    return values if ordered else None
