"""From what a user wrote for ``data.path`` to a sorted list of Parquet files on some file system."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

import pyarrow as pa
from pyarrow import fs

from saccade.pipelines.errors import UserError

SPLITS = ("train", "valid", "test", "predict")


@dataclass(frozen=True)
class Files:
    """Parquet files under one folder of one file system.

    Attributes:
        filesystem: where they are.
        scheme: what stands before a path when it is shown: ``s3://``, or nothing for local files.
        root: the folder, absolute, as the file system writes it.
        names: the files' paths relative to ``root``, sorted.
    """

    filesystem: fs.FileSystem
    scheme: str
    root: str
    names: tuple[str, ...]

    def path(self, name: str) -> str:
        """A file's path on the file system."""
        return f"{self.root.rstrip('/')}/{name}"

    def shown(self, name: str) -> str:
        """A file's path as messages show it."""
        return f"{self.scheme}{self.path(name)}"


@dataclass(frozen=True)
class _Place:
    """A path on a file system."""

    filesystem: fs.FileSystem
    scheme: str
    path: str

    @staticmethod
    def parse(path: str) -> _Place:
        if "://" not in path:
            return _Place(fs.LocalFileSystem(), "", os.path.abspath(os.path.expanduser(path)))
        try:
            filesystem, inside = fs.FileSystem.from_uri(path)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise UserError(f"{path}: not a file system that can be opened ({_first_line(error)})") from error
        scheme = path.split("://")[0] + "://"
        return _Place(filesystem, "" if scheme == "file://" else scheme, inside)

    def kind(self, path: str) -> fs.FileType:
        try:
            return self.filesystem.get_file_info(path).type
        except OSError as error:
            raise UserError(f"{self.scheme}{path}: can't be looked at ({_first_line(error)})") from error

    def entries(self, path: str, recursive: bool = False) -> list[fs.FileInfo]:
        try:
            found = self.filesystem.get_file_info(fs.FileSelector(path, recursive=recursive))
        except OSError as error:
            raise UserError(f"{self.scheme}{path}: can't be listed ({_first_line(error)})") from error
        return sorted(found, key=lambda info: info.path)

    def parquet_files(self, folder: str) -> Iterator[str]:
        """Every .parquet file at any depth, but for hidden ones."""
        for info in self.entries(folder, recursive=True):
            parts = info.path[len(folder) :].strip("/").split("/")
            if info.is_file and info.base_name.lower().endswith(".parquet") and not any(map(_is_hidden, parts)):
                yield info.path

    def glob(self, folder: str, pattern: list[str]) -> Iterator[fs.FileInfo]:
        """What matches the pattern's components below ``folder``; ``**`` stands for any number of folders."""
        head, *rest = pattern
        if head == "**":
            yield from self.glob(folder, rest or ["*"])
        for info in self.entries(folder):
            is_folder = info.type == fs.FileType.Directory
            if _is_hidden(info.base_name) and not _is_hidden(head):
                continue
            if head == "**":
                if is_folder:
                    yield from self.glob(info.path, pattern)
            elif fnmatchcase(info.base_name, head):
                if not rest:
                    yield info
                elif is_folder:
                    yield from self.glob(info.path, rest)


def find_files(path: str, split: str | None = None) -> Files:
    """The Parquet files that ``path`` stands for.

    Args:
        path: a file, a folder (searched at any depth for ``*.parquet``), a glob (``*``, ``?``, ``[…]``, ``**``) or a
            URI of any file system that pyarrow knows (``s3://…``, ``file://…``).
        split: which split of a data set folder, see ``split_path``; none takes ``path`` as it is.

    Raises:
        UserError: the path is missing, can't be reached or holds no Parquet files, or lacks the split.
    """
    path = path if split is None else split_path(path, split)
    place = _Place.parse(path)
    kind = place.kind(place.path)
    if kind == fs.FileType.File:
        folder, name = place.path.rsplit("/", 1)
        return Files(place.filesystem, place.scheme, folder or "/", (name,))
    if kind == fs.FileType.Directory:
        folder, found = place.path.rstrip("/"), list(place.parquet_files(place.path))
        missing = "the folder holds no .parquet files"
    elif _is_glob(place.path):
        folder, found = _expand(place)
        missing = "no .parquet file matches"
    else:
        raise UserError(f"{path}: no such file or folder: check the path (in a job, data.path)")
    if not found:
        raise UserError(f"{path}: {missing}: name Parquet files, or a folder or glob that has some")
    names = tuple(sorted({file[len(folder) :].strip("/") for file in found}))
    return Files(place.filesystem, place.scheme, folder, names)


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
        raise UserError(f"{path}: has no {split}/ folder, only {', '.join(f'{name}/' for name in has)}")
    if split in ("train", "predict"):
        return path
    raise UserError(f"{path}: has no {split}/ folder with Parquet files")


def splits(path: str) -> list[str]:
    """The split folders (``train``, ``valid``, ``test``, ``predict``) that a data set folder has.

    Raises:
        UserError: the path is missing or can't be reached.
    """
    place = _Place.parse(path)
    kind = place.kind(place.path)
    if kind == fs.FileType.NotFound and not _is_glob(path):
        raise UserError(f"{path}: no such file or folder: check the path (in a job, data.path)")
    if kind != fs.FileType.Directory:
        return []
    folders = subfolders(path)
    return [name for name in SPLITS if name in folders]


def subfolders(path: str) -> list[str]:
    """The names of a folder's direct subfolders, sorted."""
    place = _Place.parse(path)
    return [info.base_name for info in place.entries(place.path) if info.type == fs.FileType.Directory]


def join(path: str, name: str) -> str:
    """A path, or URI, inside a folder."""
    # A URI may end in a query that carries the file system's options: s3://bucket/key?region=…
    base, mark, query = path.partition("?") if "://" in path else (path, "", "")
    return f"{base.rstrip('/')}/{name}{mark}{query}"


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
    if place.kind(folder) != fs.FileType.Directory:
        return folder, []
    found: list[str] = []
    for info in place.glob(folder, parts[first:]):
        if info.type == fs.FileType.Directory:
            found.extend(place.parquet_files(info.path))
        elif info.base_name.lower().endswith(".parquet"):
            found.append(info.path)
    return folder.rstrip("/"), found


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n")[0]
