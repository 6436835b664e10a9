"""A file system behind one small interface: the local disk, one that pyarrow knows, or one that fsspec knows.

pyarrow has ``s3``, ``gs`` and ``hdfs`` in compiled code; fsspec has ``http(s)`` and, with a package for each, some
thirty others. None but the local disk is expected to answer at the first try, see ``retry``. The libraries' own
retries are switched off or kept short, for they bound neither attempts nor time as a whole.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from saccade.pipelines.errors import UserError
from saccade.pipelines.parquet import retry
from saccade.pipelines.parquet.retry import RemoteError, cause

Result = TypeVar("Result")


@dataclass(frozen=True)
class Entry:
    """A file or a folder.

    Attributes:
        path: where it is on its file system, without a slash at the end.
        is_folder: which of the two.
    """

    path: str
    is_folder: bool

    @property
    def name(self) -> str:
        """The last component of its path."""
        return self.path.rsplit("/", 1)[-1]


class OpenFile(Protocol):
    """A file that is read at any place."""

    def size(self) -> int:
        """Its size in bytes."""

    def read_at(self, nbytes: int, offset: int) -> bytes:
        """So many bytes from a place on; fewer where it ends."""


class Backend(Protocol):
    """What is asked of a library, which tries once."""

    @property
    def lists_trees(self) -> bool:
        """Whether one listing may give all that lies below a folder, at any depth."""

    def look(self, path: str) -> Entry | None:
        """What lies at a path; None where nothing does."""

    def entries(self, folder: str, recursive: bool) -> list[Entry]:
        """What lies in a folder."""

    def open(self, path: str) -> OpenFile:
        """A file, for reading."""


@dataclass(frozen=True)
class Storage:
    """A file system; may be sent to other processes.

    Attributes:
        scheme: what stands before a path when it is shown: ``s3://``, or nothing on the local disk.
        connect: makes the backend. It is sent in the backend's place: pyarrow's file systems forget on the way how
            often they are to try.
    """

    scheme: str
    connect: Callable[[], Backend]
    _connected: list[Backend] = field(default_factory=list, repr=False, compare=False)

    @property
    def is_remote(self) -> bool:
        """Whether it is elsewhere than on the local disk."""
        return self.scheme != ""

    @property
    def backend(self) -> Backend:
        """The library's file system, connected at its first use."""
        if not self._connected:
            self._connected.append(self.connect())
        return self._connected[0]

    def shown(self, path: str) -> str:
        """A path as messages show it."""
        return f"{self.scheme}{path}"

    def look(self, path: str) -> Entry | None:
        """What lies at a path; None where nothing does.

        Raises:
            UserError: that can't be told.
        """
        return self._ask(lambda: self.backend.look(path), f"{self.shown(path)}: can't be looked at")

    def entries(self, folder: str, recursive: bool = False) -> list[Entry]:
        """What lies in a folder, or at any depth below it, sorted by path.

        Raises:
            UserError: it can't be listed.
        """
        at_once = recursive and self.backend.lists_trees
        found = self._ask(lambda: self.backend.entries(folder, at_once), f"{self.shown(folder)}: can't be listed")
        if recursive and not at_once:
            found += [below for entry in found if entry.is_folder for below in self.entries(entry.path, True)]
        return sorted(found, key=lambda entry: entry.path)

    def _ask(self, action: Callable[[], Result], what: str) -> Result:
        try:
            return retry.PATIENCE.run(action, what) if self.is_remote else action()
        except RemoteError as error:
            raise UserError(str(error)) from error
        except OSError as error:
            raise UserError(f"{what} ({cause(error)})") from error

    def __reduce__(self) -> tuple[Any, ...]:
        return Storage, (self.scheme, self.connect)
