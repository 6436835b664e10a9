"""From what a user wrote for ``data.path`` to a sorted list of Parquet files on some file system."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

import pyarrow as pa

from saccade.pipelines.errors import UserError
from saccade.pipelines.parquet import arrow_storage, fsspec_storage
from saccade.pipelines.parquet.remote_file import RemoteFile
from saccade.pipelines.parquet.storage import Entry, Storage
from saccade.pipelines.parquet.unfinished import refuse_unfinished

SPLITS = ("train", "valid", "test", "predict")


@dataclass(frozen=True)
class Files:
    """Parquet files under one folder of one file system.

    It may be sent to other processes.

    Attributes:
        storage: the file system.
        root: the folder, absolute, as the file system writes it.
        names: the files' paths relative to ``root``, sorted.
    """

    storage: Storage
    root: str
    names: tuple[str, ...]

    def path(self, name: str) -> str:
        """A file's path on the file system."""
        return f"{self.root.rstrip('/')}/{name}"

    def shown(self, name: str) -> str:
        """A file's path as messages show it."""
        return self.storage.shown(self.path(name))

    def open(self, name: str) -> pa.NativeFile:
        """Open a file for reads at any place; a remote one's are tried again where they fail for a passing reason.

        Raises:
            OSError: it can't be opened; so do reads. A remote file's (``RemoteError``) names file, attempts and cause.
        """
        if self.storage.is_remote:
            return pa.PythonFile(RemoteFile(self.storage, self.path(name)), mode="r")
        return self.storage.backend.open(self.path(name))


@dataclass(frozen=True)
class _Place:
    """A path on a file system."""

    storage: Storage
    path: str

    @staticmethod
    def parse(path: str) -> _Place:
        scheme, mark, _ = path.partition("://")
        if not mark:
            return _Place(arrow_storage.local(), os.path.abspath(os.path.expanduser(path)))
        if scheme == "s3":
            return _Place(*arrow_storage.s3(path))
        if scheme in ("file", "gs", "gcs", "hdfs", "viewfs"):
            return _Place(*arrow_storage.by_uri(path))
        return _Place(*fsspec_storage.by_url(path))

    def look(self) -> Entry | None:
        return self.storage.look(self.path)

    def parquet_files(self, folder: str) -> Iterator[str]:
        """Every .parquet file at any depth, but for hidden ones."""
        for entry in self.storage.entries(folder, recursive=True):
            refuse_unfinished(entry.name, self.storage.shown(folder))
            parts = entry.path[len(folder) :].strip("/").split("/")
            if not entry.is_folder and _is_parquet(entry) and not any(map(_is_hidden, parts)):
                yield entry.path

    def glob(self, folder: str, pattern: list[str]) -> Iterator[Entry]:
        """What matches the pattern's components below ``folder``; ``**`` stands for any number of folders."""
        head, *rest = pattern
        if head == "**":
            yield from self.glob(folder, rest or ["*"])
        for entry in self.storage.entries(folder):
            if _is_hidden(entry.name) and not _is_hidden(head):
                continue
            if head == "**":
                if entry.is_folder:
                    yield from self.glob(entry.path, pattern)
            elif fnmatchcase(entry.name, head):
                if not rest:
                    yield entry
                elif entry.is_folder:
                    yield from self.glob(entry.path, rest)


def find_files(path: str, split: str | None = None) -> Files:
    """The Parquet files that ``path`` stands for.

    Args:
        path: a file, a folder (searched at any depth for ``*.parquet``), a glob (``*``, ``?``, ``[…]``, ``**``) or a
            URI of any file system that pyarrow (``s3://…``, ``file://…``) or fsspec (``https://…``) knows.
        split: which split of a data set folder, see ``split_path``; none takes ``path`` as it is.

    Raises:
        UserError: the path is missing, can't be reached or holds no Parquet files, or lacks the split.
    """
    path = path if split is None else split_path(path, split)
    place = _Place.parse(path)
    entry = place.look()
    if entry and not entry.is_folder:
        folder, name = entry.path.rsplit("/", 1)
        return Files(place.storage, folder or "/", (name,))
    if entry:
        folder, found = place.path.rstrip("/"), list(place.parquet_files(place.path))
        missing = "the folder holds no .parquet files"
    elif _is_glob(place.path):
        folder, found = _expand(place)
        missing = "no .parquet file matches"
    else:
        raise _missing(path)
    if not found:
        raise UserError(f"{public(path)}: {missing}: name Parquet files, or a folder or glob that has some")
    names = tuple(sorted({file[len(folder) :].strip("/") for file in found}))
    return Files(place.storage, folder, names)


def split_path(path: str, split: str) -> str:
    """Where a split of a data set lies: the subfolder of that name, where there is one.

    A folder or file without any split folders is all one split: it serves as ``train`` and for ``predict``.

    Raises:
        UserError: the path is missing, or has no such split.
    """
    has = splits(path)
    if split in has:
        return join(path, split)
    if has:
        raise UserError(f"{public(path)}: has no {split}/ folder, only {', '.join(f'{name}/' for name in has)}")
    if split in ("train", "predict"):
        return path
    raise UserError(f"{public(path)}: has no {split}/ folder with Parquet files")


def splits(path: str) -> list[str]:
    """The split folders (``train``, ``valid``, ``test``, ``predict``) that a data set folder has.

    Raises:
        UserError: the path is missing or can't be reached.
    """
    place = _Place.parse(path)
    entry = place.look()
    if entry is None and not _is_glob(path):
        raise _missing(path)
    if entry is None or not entry.is_folder:
        return []
    folders = subfolders(path)
    return [name for name in SPLITS if name in folders]


def subfolders(path: str) -> list[str]:
    """The names of a folder's direct subfolders, sorted."""
    place = _Place.parse(path)
    return [entry.name for entry in place.storage.entries(place.path) if entry.is_folder]


def join(path: str, name: str) -> str:
    """A path, or URI, inside a folder."""
    # A URI may end in a query that carries the file system's options: s3://bucket/key?region=…
    base, mark, query = path.partition("?") if "://" in path else (path, "", "")
    return f"{base.rstrip('/')}/{name}{mark}{query}"


def public(path: str) -> str:
    """A path, or URI without what may be secret in it: keys and query."""
    scheme, mark, rest = path.partition("://")
    if not mark:
        return path
    host, slash, inside = rest.partition("?")[0].partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{inside}"


def _missing(path: str) -> UserError:
    return UserError(f"{public(path)}: no such file or folder: check the path (in a job, data.path)")


def _is_parquet(entry: Entry) -> bool:
    return entry.name.lower().endswith(".parquet")


def _is_hidden(name: str) -> bool:
    # The underscore is how frameworks mark what isn't data: _SUCCESS, _delta_log, _temporary.
    return name[0] in "._"


def _is_glob(path: str) -> bool:
    return any(c in path for c in ("*[" if "://" in path else "*?["))


def _expand(place: _Place) -> tuple[str, list[str]]:
    """The folder before the first wildcard, and the files that match."""
    parts = place.path.split("/")
    first = next(i for i, part in enumerate(parts) if any(c in part for c in "*?["))
    folder = "/".join(parts[:first]) or "/"
    entry = place.storage.look(folder)
    if entry is None or not entry.is_folder:
        return folder, []
    found: list[str] = []
    for entry in place.glob(folder, parts[first:]):
        if entry.is_folder:
            found.extend(place.parquet_files(entry.path))
        elif _is_parquet(entry):
            found.append(entry.path)
    return folder.rstrip("/"), found
