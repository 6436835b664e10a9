"""A row group's stored bytes in few requests, and those of the next one while this one is decoded.

A remote file system is paid by the request: 10 to 100 ms each, whatever its size. Left to itself, Arrow asks once a
column, or once a MiB.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

import pyarrow as pa

from saccade.pipelines.parquet.files import Files
from saccade.pipelines.parquet.remote_file import RemoteFile

_GAP = 2**20  # bytes that nobody needs cost less than another request
_LIMIT = 16 * 2**20  # a row group that stores more is read piece by piece, or memory would grow with it

Range = tuple[int, int]


class ReadAhead:
    """Opens files whose bytes in some ranges are fetched at once; for one thread.

    It holds what is expected, two row groups at most; a file holds its own. On the local disk it only opens files: the
    operating system reads ahead by itself.
    """

    def __init__(self, files: Files) -> None:
        self._files = files
        self._fetches: dict[tuple[str, tuple[Range, ...]], _Fetch] = {}

    def expect(self, name: str, ranges: Sequence[Range]) -> None:
        """Begin to fetch what will be opened, in the background; faults show when it is opened."""
        merged = tuple(merge(ranges))
        small = sum(stop - start for start, stop in merged) <= _LIMIT
        if self._files.storage.is_remote and small and (name, merged) not in self._fetches:
            self._fetches[name, merged] = _Fetch(self._files, name, merged)
            if len(self._fetches) > 2:
                del self._fetches[next(iter(self._fetches))]

    def open(self, name: str, ranges: Sequence[Range]) -> pa.NativeFile:
        """Open a file of which the ranges, (start, stop) in bytes, will be read.

        Raises:
            OSError: they can't be read.
        """
        self.expect(name, ranges)
        fetch = self._fetches.pop((name, tuple(merge(ranges))), None)
        return pa.PythonFile(fetch.file(), mode="r") if fetch else self._files.open(name)


def merge(ranges: Sequence[Range]) -> list[Range]:
    """The ranges in order, as one where they are near each other."""
    merged: list[Range] = []
    for start, stop in sorted(ranges):
        if merged and start - merged[-1][1] <= _GAP:
            merged[-1] = merged[-1][0], max(stop, merged[-1][1])
        else:
            merged.append((start, stop))
    return merged


class _Fetch:
    """Bytes that are on their way."""

    def __init__(self, files: Files, name: str, ranges: Sequence[Range]) -> None:
        self._ranges = ranges
        self._file = RemoteFile(files.storage, files.path(name))
        self._error: Exception | None = None
        # A daemon, so that a process that ends doesn't wait for a server.
        self._thread = threading.Thread(target=self._work, name="read-ahead", daemon=True)
        self._thread.start()

    def file(self) -> RemoteFile:
        """The file that holds them.

        Raises:
            OSError: they can't be had.
        """
        self._thread.join()
        if self._error:
            raise self._error
        return self._file

    def _work(self) -> None:
        try:
            self._file.hold(self._ranges)
        except Exception as error:
            self._error = error
