"""A remote file that is read as if it were here."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import TypeVar

from saccade.pipelines.parquet import retry
from saccade.pipelines.parquet.storage import OpenFile, Storage

Result = TypeVar("Result")


class RemoteFile(io.RawIOBase):
    """Random reads of a remote file, each tried again at its place, with the file opened anew.

    Args:
        storage: where it is.
        path: where it is there.
    """

    def __init__(self, storage: Storage, path: str) -> None:
        self._storage, self._path = storage, path
        self._held: list[tuple[int, bytes | memoryview]] = []
        self._file: OpenFile | None = None
        self._size: int | None = None
        self._position = 0

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """Where the next read begins."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Set where the next read begins."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position}
        self._position = offset + (self.size() if whence == io.SEEK_END else start[whence])
        return self._position

    def size(self) -> int:
        """Its size in bytes."""
        if self._size is None:
            self._size = self._try(lambda file: file.size())
        return self._size

    # A view of what is held, where there is one: Arrow takes what has a buffer.
    def read(self, size: int | None = -1) -> bytes | memoryview:
        """So many bytes, or all that follow; fewer where the file ends.

        Raises:
            RemoteError: they can't be had.
        """
        rest = max(0, self.size() - self._position)
        wanted = rest if size is None or size < 0 else min(size, rest)
        found = self.read_at(wanted, self._position)
        self._position += wanted
        return found

    def read_at(self, nbytes: int, offset: int) -> bytes | memoryview:
        """So many bytes from a place on, all of which the file must have.

        Raises:
            RemoteError: they can't be had.
        """
        for start, held in self._held:
            if start <= offset and offset + nbytes <= start + len(held):
                return memoryview(held)[offset - start : offset - start + nbytes]

        def read(file: OpenFile) -> bytes:
            found = file.read_at(nbytes, offset)
            if len(found) < nbytes:
                raise EOFError(f"{len(found)} of {nbytes} bytes came")
            return found

        return self._try(read)

    def hold(self, ranges: Sequence[tuple[int, int]]) -> None:
        """Fetch ranges, (start, stop) in bytes, with a request each; reads inside them ask for nothing more.

        Raises:
            RemoteError: they can't be had.
        """
        self._held = [(start, self.read_at(stop - start, start)) for start, stop in ranges]

    def _try(self, action: Callable[[OpenFile], Result]) -> Result:
        def once() -> Result:
            file, self._file = self._file, None  # after a fault it is opened anew
            file = file or self._storage.backend.open(self._path)
            result = action(file)
            self._file = file
            return result

        return retry.PATIENCE.run(once, f"{self._storage.shown(self._path)}: can't be read")
