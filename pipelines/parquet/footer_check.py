"""Whether a footer can be believed: what :mod:`saccade.pipelines.parquet.footer_trial` runs in a process of its own.

A footer carries no checksum, so what it says is held against itself and against the file's size: rows that don't add
up, column chunks that lie outside the file, over each other or under another column's name. It imports pyarrow alone,
so that the process is there quickly.
"""

from __future__ import annotations

import resource
import signal
import sys

import pyarrow as pa
import pyarrow.parquet as pq

MAGIC = b"PAR1"
_SECONDS = 60  # for one footer, which takes 9 ms a MB, and for waiting for the next
_MEMORY = 8 * 2**30


def check(stored: bytes, size: int) -> str:
    """Read all of a footer that pyarrow will be asked for; may end the process.

    Args:
        stored: the footer with its length and the magic bytes behind.
        size: the file's size in bytes.

    Returns:
        What is wrong; empty where nothing is.
    """
    try:
        metadata = pq.read_metadata(pa.BufferReader(MAGIC + stored))
        metadata.schema.to_arrow_schema()  # may be damaged by itself
        return _disagreement(metadata, size)
    except (pa.ArrowException, OSError, ValueError, MemoryError) as error:
        return (str(error).splitlines() or [type(error).__name__])[0]


def serve() -> None:
    """Answer footers from stdin, each behind its length and the file's size, with a line each on stdout."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY if most == resource.RLIM_INFINITY else min(_MEMORY, most), most))
    while True:
        signal.alarm(_SECONDS)  # ends the process, whatever it is at
        head = sys.stdin.buffer.read(16)
        if len(head) < 16:
            return
        length, size = int.from_bytes(head[:8], "little"), int.from_bytes(head[8:], "little")
        found = check(sys.stdin.buffer.read(length), size)
        sys.stdout.buffer.write(found.encode(errors="replace") + b"\n")
        sys.stdout.buffer.flush()


def _disagreement(metadata: pq.FileMetaData, size: int) -> str:
    leaves = [metadata.schema.column(i) for i in range(metadata.num_columns)]
    expected = [(leaf.path, leaf.physical_type, leaf.max_repetition_level > 0) for leaf in leaves]
    ranges, rows = [], 0
    for index in range(metadata.num_row_groups):
        group = metadata.row_group(index)
        if group.num_columns != len(expected):
            return f"row group {index} has {group.num_columns} columns, and the schema {len(expected)}"
        count = group.num_rows
        rows += count
        for number, (path, physical_type, repeated) in enumerate(expected):
            column = group.column(number)
            if column.path_in_schema != path or column.physical_type != physical_type:
                return f"row group {index} has {column.path_in_schema!r} where the schema has {path!r}"
            values = column.num_values
            if not 0 <= count <= values or (values > count and not repeated):
                return f"row group {index} has {count} rows, and {values} values of {path!r}"
            if values:  # else there may be no data page, and no place of one
                start = column.data_page_offset
                if column.has_dictionary_page:
                    start = min(start, column.dictionary_page_offset or start)
                ranges.append((start, start + column.total_compressed_size))
            column.statistics  # noqa: B018 - decodes them
    if rows != metadata.num_rows:
        return f"its row groups have {rows} rows, and all of it {metadata.num_rows}"
    last = 0
    for start, stop in sorted(ranges):
        if not last <= start <= stop <= size:
            return f"its column chunks overlap or lie outside: bytes {start} to {stop} of {size}"
        last = stop
    return ""
