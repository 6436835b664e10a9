"""One file, one row: recordings and images are decoded ahead in threads and come out in the order they were listed in.

libsndfile, soxr and Pillow let go of Python's lock, so threads are enough. What is in flight is bounded: two files a
thread, and one batch of 4 MiB a split.
"""

from __future__ import annotations

import os
import stat
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from saccade.pipelines.errors import UserError
from saccade.pipelines.importing.folder import shown
from saccade.pipelines.importing.format import Rows
from saccade.pipelines.importing.intake import Intake
from saccade.pipelines.importing.reject import Reject

ELEMENT = "element"
_BATCH_BYTES = 4 * 2**20
_BATCH_ROWS = 4096


class Unreadable(Exception):
    """A file can't be taken in; the text says why."""


@dataclass(frozen=True)
class Item:
    """A file that is to become a row.

    Attributes:
        file: its path relative to the source.
        size: in bytes, for the progress bar.
        split: that its row goes to.
        values: the row's columns that are known before the file is read.
    """

    file: str
    size: int
    split: str
    values: Mapping[str, Any]


class Meter:
    """Adds up what was read of a number of bytes and tells the progress bar."""

    def __init__(self, intake: Intake, total: int) -> None:
        self._intake, self._total, self._done = intake, total, 0

    def add(self, count: int) -> None:
        """So many more bytes were read."""
        self._done += count
        self._intake.progress(self._done, self._total)


class Batches:
    """Rows, as they come, as record batches of some megabytes, a split at a time."""

    def __init__(self, schema: pa.Schema) -> None:
        self._schema = schema
        self._rows: dict[str, list[Mapping[str, Any]]] = {}
        self._bytes: dict[str, int] = {}

    def add(self, split: str, row: Mapping[str, Any], size: int) -> Rows:
        """Take a row of about ``size`` bytes; gives a batch where one is full."""
        rows = self._rows.setdefault(split, [])
        rows.append(row)
        self._bytes[split] = self._bytes.get(split, 0) + size
        if self._bytes[split] >= _BATCH_BYTES or len(rows) >= _BATCH_ROWS:
            yield self._batch(split)

    def rest(self) -> Rows:
        """What isn't full yet."""
        for split in list(self._rows):
            yield self._batch(split)

    def _batch(self, split: str) -> tuple[str, pa.RecordBatch]:
        self._bytes.pop(split)
        return split, pa.RecordBatch.from_pylist(self._rows.pop(split), schema=self._schema)


def read_items(
    items: Iterable[Item],
    decode: Callable[[Item], Mapping[str, Any]],
    schema: pa.Schema,
    intake: Intake,
    advance: Callable[[int], None],
) -> Rows:
    """Decode files into rows.

    Args:
        items: the files.
        decode: gives the other columns of a file's row, or raises Unreadable; called in threads.
        schema: of the rows; a column ``file`` is the item's name.
        intake: told of what is unreadable.
        advance: told of the size of each file that is done.
    """
    batches = Batches(schema)
    for item, future in _ahead(items, decode):
        advance(item.size)
        try:
            row = {**item.values, **future.result(), "file": shown(item.file)}
        except Unreadable as error:
            intake(Reject(shown(item.file), 0, str(error), ""))
        else:
            yield from batches.add(item.split, row, _size(row))
    yield from batches.rest()


def _size(row: Mapping[str, Any]) -> int:
    """About how many bytes a row has: its samples or pixels; the rest is small beside them."""
    return sum(
        value.nbytes if isinstance(value, np.ndarray) else len(value)
        for value in row.values()
        if isinstance(value, bytes | np.ndarray)
    )


def _ahead(
    items: Iterable[Item], decode: Callable[[Item], Mapping[str, Any]]
) -> Iterator[tuple[Item, Future[Mapping[str, Any]]]]:
    threads = len(os.sched_getaffinity(0))
    coming = iter(items)
    with ThreadPoolExecutor(threads, thread_name_prefix="decode") as pool:
        waiting: deque[tuple[Item, Future[Mapping[str, Any]]]] = deque()
        try:
            while True:
                waiting.extend((item, pool.submit(decode, item)) for item in islice(coming, 2 * threads - len(waiting)))
                if not waiting:
                    return
                yield waiting.popleft()
        finally:
            for _, future in waiting:
                future.cancel()


def regular_file(path: Path) -> int:
    """The size of a file that can be opened without waiting for another program and has something in it.

    Raises:
        Unreadable: it is missing, empty, or a pipe or device.
    """
    try:
        about = path.stat()
    except OSError as error:
        raise Unreadable(f"can't be opened ({error.strerror})") from error
    if not stat.S_ISREG(about.st_mode):
        raise Unreadable("is no regular file")
    if not about.st_size:
        raise Unreadable("is empty")
    return about.st_size


def message_of(error: BaseException) -> str:
    """What an error says, in one line."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def need(module: str, extra: str) -> Any:
    """Import a library that only some formats need.

    Raises:
        UserError: it isn't installed.
    """
    try:
        return import_module(module)
    except (ImportError, OSError) as error:  # OSError: a shared library of it is missing
        package = module.partition(".")[0]
        raise UserError(
            f"this format is read with {package}, which can't be imported ({message_of(error)}): "
            f"pip install 'saccade[{extra}]'"
        ) from error


def list_of(values: pa.DataType) -> pa.DataType:
    """A list without nulls."""
    return pa.list_(pa.field(ELEMENT, values, nullable=False))


def schema_of(**columns: pa.DataType) -> pa.Schema:
    """Columns without nulls."""
    return pa.schema([pa.field(name, type_, nullable=False) for name, type_ in columns.items()])
