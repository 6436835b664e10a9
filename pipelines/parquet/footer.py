"""A Parquet file's footer: everything about it but the data."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from saccade.pipelines.errors import UserError
from saccade.pipelines.parquet.files import Files

_MAGIC = b"PAR1"
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
        with files.filesystem.open_input_file(files.path(name)) as file:
            size = file.size()
            tail = file.read_at(min(size, _GUESS), max(0, size - _GUESS))
            start = file.read_at(min(size, 4), 0)
            if size < 12 or tail[-4:] != _MAGIC:
                raise UserError(f"{shown}: {_what_is_wrong(size, start, tail)}")
            length = int.from_bytes(tail[-8:-4], "little") + 8
            if length + 4 > size:
                raise UserError(f"{shown}: damaged: its footer of {length} bytes doesn't fit into a file of {size}")
            if length > len(tail):
                tail = file.read_at(length, size - length)
    except OSError as error:
        raise UserError(f"{shown}: can't be read ({str(error).splitlines()[0]})") from error
    stored = tail[-length:]
    try:
        metadata = pq.read_metadata(pa.BufferReader(_MAGIC + stored))
        metadata.schema.to_arrow_schema()  # may be damaged by itself
    except (pa.ArrowException, OSError, ValueError) as error:
        raise UserError(f"{shown}: damaged: its footer can't be read ({str(error).splitlines()[0]})") from error
    return Footer(metadata, size, hashlib.sha256(stored).hexdigest())


def leaf_columns(metadata: pq.FileMetaData, column: str) -> list[int]:
    """The numbers of the stored columns that make up an Arrow column: one, but for nested types."""
    paths = [metadata.schema.column(i).path for i in range(metadata.num_columns)]
    return [i for i, path in enumerate(paths) if path == column or path.startswith(f"{column}.")]


def statistics(metadata: pq.FileMetaData, row_group: int, leaf: int) -> pq.Statistics | None:
    """A stored column's statistics in one row group; None where there are none that can be used."""
    column = metadata.row_group(row_group).column(leaf)
    # In a damaged footer the two may differ, and then Arrow ends the process when it is asked for the statistics.
    if column.physical_type != metadata.schema.column(leaf).physical_type:
        return None
    return column.statistics


def _what_is_wrong(size: int, start: bytes, tail: bytes) -> str:
    if size == 0:
        return "an empty file, not Parquet"
    if tail[-4:] == b"PARE":
        return "an encrypted Parquet file, which isn't supported"
    if start == _MAGIC:
        return f"a Parquet file that was cut short (its footer is missing after {size} bytes); copy or write it again"
    return f"not a Parquet file (it has {size} bytes and starts with {start!r})"
