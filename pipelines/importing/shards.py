"""A data set that is there as a whole or not at all, and the Parquet files in it."""

from __future__ import annotations

import fcntl
import os
import shutil
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from saccade.pipelines.errors import UserError

ROWS_PER_FILE = 500_000
ROW_GROUP_SIZE = 10_000
ROW_GROUP_BYTES = 8 * 2**20
"""A row group ends with the row that reaches so many bytes (decoded), whatever its number of rows."""
FILE_BYTES = 2**30
"""A file ends with the row group that reaches so many."""


@contextmanager
def staged(destination: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """A temporary folder beside ``destination`` that takes its place when the block ends without an error.

    A process that is killed leaves the folder ``.NAME.importing`` behind, which the next one clears. With ``overwrite``
    the old folder goes only when the new one is whole; between the two renames neither has the name for a moment.

    Raises:
        UserError: ``destination`` has something in it, can't be written, or is being written by another process.
    """
    destination = Path(os.path.abspath(destination))
    check_destination(destination, overwrite)
    folder = destination.with_name(f".{destination.name}.importing")
    lock = destination.with_name(f".{destination.name}.lock")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        held = os.open(lock, os.O_CREAT | os.O_RDWR)
    except OSError as error:
        raise UserError(f"{destination}: can't be written ({error.strerror}): choose another folder") from error
    try:
        if not _lock(held):
            raise UserError(f"{destination}: another process is writing it: wait for it to end")
        try:
            _remove(folder)
            folder.mkdir()
            yield folder
            check_destination(destination, overwrite)
            _swap(folder, destination)
        finally:
            _remove(folder)
            lock.unlink(missing_ok=True)
    finally:
        os.close(held)


def check_destination(destination: Path, overwrite: bool) -> None:
    """Refuse a folder that would lose something.

    Raises:
        UserError: it is a file, or a folder with something in it and ``overwrite`` is off.
    """
    if destination.is_dir():
        if not overwrite and (held := sorted(os.listdir(destination))):
            shown = f"{held[0]}, …" if len(held) > 1 else held[0]
            raise UserError(
                f"{destination}: has something in it ({shown}): choose an empty folder, or pass --overwrite"
            )
    elif destination.exists():
        raise UserError(f"{destination}: is a file: name a folder for the data set")


def _lock(file: int) -> bool:
    """Lock an open file, unless another process has; one that was deleted meanwhile locks nothing out."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return os.fstat(file).st_nlink > 0


def _swap(folder: Path, destination: Path) -> None:
    old = destination.with_name(f".{destination.name}.old")
    _remove(old)
    if destination.exists():
        destination.rename(old)
    folder.rename(destination)
    _remove(old)


def _remove(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)


class ShardWriter:
    """Cuts rows into Parquet files ``part-00000.parquet``, … of equal numbers of rows, and these into row groups.

    Where rows are large (recordings, images) both end earlier, by their bytes. How rows come in makes no difference to
    the files. What doesn't fill a row group waits in memory.
    """

    def __init__(
        self, folder: Path, *, rows_per_file: int = ROWS_PER_FILE, row_group_size: int = ROW_GROUP_SIZE
    ) -> None:
        """Begin with the first file; the folder is made when there is a row.

        Args:
            folder: where the files go. It should be one of a :func:`staged` data set.
            rows_per_file: of each file but the last.
            row_group_size: rows of each row group but a file's last.
        """
        self.folder = folder
        self.rows = 0
        self.schema: pa.Schema | None = None
        self._rows_per_file = rows_per_file
        self._row_group_size = min(row_group_size, rows_per_file)
        self._waiting: list[pa.Table] = []
        self._waiting_rows = 0
        self._waiting_bytes = 0
        self._in_file = 0
        self._bytes_in_file = 0
        self._files = 0
        self._writer: pq.ParquetWriter | None = None

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        if error is None:
            self.close()
        else:
            self._close()

    def close(self) -> None:
        """Write what still waits."""
        self._flush(last=True)
        self._close()

    @property
    def files(self) -> int:
        """How many files there are so far."""
        return self._files

    def write(self, rows: pa.RecordBatch | pa.Table) -> None:
        """Take some rows; all must have the first ones' schema."""
        table = pa.Table.from_batches([rows]) if isinstance(rows, pa.RecordBatch) else rows
        if self.schema is None:
            self.schema = table.schema
        self._waiting.append(table)
        self._waiting_rows += len(table)
        self._waiting_bytes += table.nbytes
        self.rows += len(table)
        if self._waiting_rows >= self._row_group_size or self._waiting_bytes >= ROW_GROUP_BYTES:
            self._flush()

    def _flush(self, *, last: bool = False) -> None:
        """Write the row groups that are full; the last rows of all are one, too."""
        if not self._waiting_rows:
            return
        rows = pa.concat_tables(self._waiting)
        while count := self._full(rows) or (len(rows) if last else 0):
            self._write(rows.slice(0, count))
            rows = rows.slice(count)
        self._waiting, self._waiting_rows, self._waiting_bytes = [rows], len(rows), rows.nbytes

    def _full(self, rows: pa.Table) -> int:
        """How many of the rows make a full row group; 0 where they don't."""
        most = min(self._row_group_size, self._rows_per_file - self._in_file)
        if rows.nbytes >= ROW_GROUP_BYTES:
            count = bisect_left(range(len(rows)), ROW_GROUP_BYTES, key=lambda count: rows.slice(0, count).nbytes)
            return min(count, most)
        return most if len(rows) >= most else 0

    def _write(self, group: pa.Table) -> None:
        if self._writer is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            file = self.folder / f"part-{self._files:05}.parquet"
            self._writer = pq.ParquetWriter(file, self.schema, compression="zstd", write_page_checksum=True)
            self._files += 1
        self._writer.write_table(group, row_group_size=self._row_group_size)
        self._in_file += len(group)
        self._bytes_in_file += group.nbytes
        if self._in_file == self._rows_per_file or self._bytes_in_file >= FILE_BYTES:
            self._close()

    def _close(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._writer = None
        self._in_file = self._bytes_in_file = 0
