"""A Parquet file that is there as a whole or not at all, written while its rows are made."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

ROW_GROUP = 1 << 16
"""Rows of a row group: those of the top ten take 8 MiB, which is all that waits in memory."""

WRITING = ".writing"
"""How the name of a file ends that isn't whole yet."""


def write_file(path: Path, batches: Iterable[pa.RecordBatch]) -> int:
    """Write batches, of which there is at least one, and return their number of rows.

    Raises:
        OSError: the file can't be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}{WRITING}")
    writer: pq.ParquetWriter | None = None
    waiting: list[pa.RecordBatch] = []
    rows = held = 0
    try:
        for batch in batches:
            if writer is None:
                writer = pq.ParquetWriter(temporary, batch.schema, compression="zstd", write_page_checksum=True)
            waiting.append(batch)
            held += batch.num_rows
            rows += batch.num_rows
            if held >= ROW_GROUP:
                writer.write_table(pa.Table.from_batches(waiting), row_group_size=held)
                waiting, held = [], 0
        if writer is not None:
            if waiting:
                writer.write_table(pa.Table.from_batches(waiting))
            writer.close()
            temporary.replace(path)
    finally:
        if writer is not None:
            writer.close()
        temporary.unlink(missing_ok=True)
    return rows


def delete_unfinished(folder: Path) -> None:
    """Remove what killed processes had begun to write in a folder, in which none is at work."""
    for path in folder.glob(f".*{WRITING}"):
        path.unlink()
