"""The file systems that fsspec knows: ``http(s)`` and many more."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import parse_qsl

import fsspec

from saccade.pipelines.errors import UserError
from saccade.pipelines.parquet.retry import cause, http_status
from saccade.pipelines.parquet.storage import Entry, OpenFile, Storage

_CONNECT_SECONDS = 5
_SILENT_SECONDS = 20  # for so long may a server say nothing in the middle of an answer


@dataclass(frozen=True)
class FsspecFile:
    """A file of which each read is a request of its own."""

    filesystem: fsspec.AbstractFileSystem
    path: str
    length: int

    def size(self) -> int:
        """Its size in bytes."""
        return self.length

    def read_at(self, nbytes: int, offset: int) -> bytes:
        """So many bytes from a place on."""
        found: bytes = self.filesystem.cat_file(self.path, start=offset, end=offset + nbytes)
        if len(found) > nbytes:
            # A server that takes no notice of the range sends all of the file, which would be taken for the range.
            raise NotImplementedError("the server doesn't answer requests for a range of bytes, use one that does")
        return found


@dataclass(frozen=True)
class FsspecBackend:
    """A file system of fsspec's.

    Attributes:
        filesystem: the file system.
        scheme: of its URLs.
        query: of a file's URL: a signature, say.
    """

    filesystem: fsspec.AbstractFileSystem
    scheme: str
    query: str

    @property
    def lists_trees(self) -> bool:
        """It doesn't: where a folder on the way can't be listed, fsspec leaves it out without a word."""
        return False

    def look(self, path: str) -> Entry | None:
        """What lies at a path; None where nothing does."""
        info = self._info(path)
        if info is None:
            return None
        # On the web a folder is a page of links.
        return Entry(path.rstrip("/"), info["type"] == "directory" or info.get("mimetype") == "text/html")

    def entries(self, folder: str, recursive: bool) -> list[Entry]:
        """What lies in a folder."""
        base = fsspec.core.strip_protocol(f"{self.scheme}{folder}").rstrip("/")
        found = {
            info["name"].rstrip("/"): info["type"] == "directory" for info in self.filesystem.ls(base, detail=True)
        }
        found.pop(base, None)
        return [
            Entry(f"{folder.rstrip('/')}/{name.removeprefix(base).lstrip('/')}", is_folder)
            for name, is_folder in found.items()
        ]

    def open(self, path: str) -> OpenFile:
        """A file, for reading."""
        info = self._info(path)
        if info is None:
            raise FileNotFoundError("no such file")
        if info["size"] is None:
            raise NotImplementedError("the server doesn't tell the file's size, use one that does")
        return FsspecFile(self.filesystem, self._path(path), info["size"])

    def _path(self, path: str) -> str:
        stripped: str = fsspec.core.strip_protocol(f"{self.scheme}{path}{self.query}")
        return stripped

    def _info(self, path: str) -> dict[str, Any] | None:
        try:
            info: dict[str, Any] = self.filesystem.info(self._path(path))
        except FileNotFoundError as error:
            # fsspec says so of everything that the web's servers may answer, or may not answer.
            if isinstance(error.__cause__, Exception) and http_status(error.__cause__) not in (404, 410):
                raise error.__cause__ from None
            return None
        return info


def by_url(url: str) -> tuple[Storage, str]:
    """A file system that fsspec knows, and the path there.

    Raises:
        UserError: there is none, or its package isn't installed.
    """
    bare, mark, query = url.partition("?")
    protocol, _, path = bare.partition("://")
    scheme = f"{protocol}://"
    try:
        if protocol in ("http", "https"):
            connect = partial(_web, scheme, mark + query)
        else:
            connect = partial(_connect, scheme, bare, dict(parse_qsl(query)))
        connect()
    except (ImportError, ValueError, TypeError, OSError) as error:
        raise UserError(f"{bare}: not a file system that can be opened ({cause(error)})") from error
    return Storage(scheme, connect), path


def _web(scheme: str, query: str) -> FsspecBackend:
    try:
        from aiohttp import ClientTimeout
    except ImportError as error:
        raise ImportError("http needs another package: pip install 'saccade[http]'") from error
    timeout = ClientTimeout(sock_connect=_CONNECT_SECONDS, sock_read=_SILENT_SECONDS)
    filesystem = fsspec.filesystem(
        scheme.partition(":")[0],
        client_kwargs={"timeout": timeout},
        headers={"Accept-Encoding": "identity"},  # a range of a compressed answer isn't a range of the file
    )
    return FsspecBackend(filesystem, scheme, query)


def _connect(scheme: str, url: str, options: dict[str, str]) -> FsspecBackend:
    return FsspecBackend(fsspec.core.url_to_fs(url, **options)[0], scheme, "")
