"""A Parquet file's footer: everything about it but the data."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from saccade.pipelines.errors import UserError
from saccade.pipelines.parquet.files import Files
from saccade.pipelines.parquet.footer_check import MAGIC
from saccade.pipelines.parquet.footer_trial import TRIAL
from saccade.pipelines.parquet.retry import RemoteError

_GUESS = 64 * 1024  # one read fetches most footers; a remote file system is paid by the request


@dataclass(frozen=True, eq=False)
class Footer:
    """What the end of a file says.

    Attributes:
        metadata: row groups, columns and their statistics.
        bytes: the file's size.
        digest: SHA-256 of the footer as it is stored.
    """

    metadata: pq.FileMetaData
    bytes: int
    digest: str


def read_footer(files: Files, name: str) -> Footer:
    """Read one file's footer.

    Raises:
        UserError: the file can't be read, is not Parquet or is cut short.
    """
    shown = files.shown(name)
    try:
        with files.open(name) as file:
            size = file.size()
            tail = file.read_at(min(size, _GUESS), max(0, size - _GUESS))
            if size < 12 or tail[-4:] != MAGIC:
                start = file.read_at(min(size, 4), 0)
                raise UserError(f"{shown}: {_what_is_wrong(size, start, tail)}")
            length = int.from_bytes(tail[-8:-4], "little") + 8
            if length + 4 > size:
                raise UserError(f"{shown}: damaged: its footer of {length} bytes doesn't fit into a file of {size}")
            if length > len(tail):
                tail = file.read_at(length, size - length)
    except RemoteError as error:
        raise UserError(str(error)) from error
    except OSError as error:
        raise UserError(f"{shown}: can't be read ({str(error).splitlines()[0]})") from error
    stored = tail[-length:]
    digest = hashlib.sha256(stored).hexdigest()
    fault = TRIAL.fault(stored, size, digest)
    if fault:
        raise UserError(f"{shown}: damaged: its footer can't be read ({fault})")
    return Footer(pq.read_metadata(pa.BufferReader(MAGIC + stored)), size, digest)


def leaf_columns(metadata: pq.FileMetaData, column: str) -> list[int]:
    """The numbers of the stored columns that make up an Arrow column: one, but for nested types."""
    paths = [metadata.schema.column(i).path for i in range(metadata.num_columns)]
    return [i for i, path in enumerate(paths) if path == column or path.startswith(f"{column}.")]


def stored_ranges(footer: Footer, row_group: int, columns: Sequence[str]) -> list[tuple[int, int]]:
    """Where the file has some Arrow columns of a row group: (start, stop) in bytes, for each stored column."""
    ranges = []
    for leaf in (leaf for name in columns for leaf in leaf_columns(footer.metadata, name)):
        column = footer.metadata.row_group(row_group).column(leaf)
        starts = [column.data_page_offset]
        if column.has_dictionary_page and column.dictionary_page_offset:
            starts.append(column.dictionary_page_offset)
        start = min(starts)
        # A damaged footer may say anything; what it says is checked where it is decoded.
        if 0 <= start <= start + column.total_compressed_size <= footer.bytes:
            ranges.append((start, start + column.total_compressed_size))
    return ranges


def statistics(metadata: pq.FileMetaData, row_group: int, leaf: int) -> pq.Statistics | None:
    """A stored column's statistics in one row group; None where there are none that can be used."""
    found = metadata.row_group(row_group).column(leaf).statistics
    try:
        if found is not None and found.has_min_max:
            found.min, found.max  # noqa: B018 - text may be cut in the middle of a character
    except (ValueError, OverflowError, pa.ArrowException):
        return None
    return found


def _what_is_wrong(size: int, start: bytes, tail: bytes) -> str:
    if size == 0:
        return "an empty file, not Parquet"
    if tail[-4:] == b"PARE":
        return "an encrypted Parquet file, which isn't supported"
    if start == MAGIC:
        return f"a Parquet file that was cut short (its footer is missing after {size} bytes); copy or write it again"
    return f"not a Parquet file (it has {size} bytes and starts with {start!r})"
