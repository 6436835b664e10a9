"""A folder of Parquet files that is either whole, with a manifest that says of what, or marked as unfinished.

On an object store a folder can't be renamed into place, so the files get their final names at once, and a mark stands
beside them for as long as some are missing. The reader refuses a folder with that mark.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import fs

from saccade.pipelines.errors import UserError
from saccade.pipelines.parquet.files import public
from saccade.pipelines.parquet.unfinished import UNFINISHED

MANIFEST = "_manifest.json"
"""Written last: the options that the files were written with, and their sizes."""


@dataclass(frozen=True)
class WrittenFolder:
    """A folder that is written to.

    Attributes:
        address: its path or URI, as the user wrote it.
        filesystem: where it is.
        path: its path there.
    """

    address: str
    filesystem: fs.FileSystem
    path: str

    @staticmethod
    def at(path: str) -> WrittenFolder:
        """The folder at a path or URI; it need not be there.

        Raises:
            UserError: the URI is of no file system that can be opened.
        """
        if "://" not in path:
            return WrittenFolder(path, fs.LocalFileSystem(), str(Path(path).expanduser().absolute()))
        try:
            filesystem, inside = fs.FileSystem.from_uri(path)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise UserError(f"{public(path)}: not a file system that can be opened ({_first_line(error)})") from None
        return WrittenFolder(path, filesystem, inside.rstrip("/"))

    @property
    def shown(self) -> str:
        """The address as messages show it."""
        return public(self.address)

    def file(self, name: str) -> str:
        """The path of a file in it."""
        return f"{self.path}/{name}"

    def sizes(self) -> dict[str, int]:
        """The Parquet files in it and their sizes."""
        return {name: size for name, size in self._entries().items() if name.endswith(".parquet")}

    def is_written(self, options: Mapping[str, Any], overwrite: bool) -> bool:
        """Whether it is whole and was written with these options, a version among them.

        If not, it is empty when this returns.

        Raises:
            UserError: it has something in it that isn't to be lost.
        """
        there = self._entries()
        if not there:
            return False
        if MANIFEST not in there and UNFINISHED not in there:
            raise UserError(f"{self.shown}: has something in it that write_dataset didn't write: name an empty folder")
        if overwrite:
            self.clear()
            return False
        mend = "pass overwrite=True to write it anew, or name another folder"
        if UNFINISHED in there:
            raise UserError(f"{self.shown}: is unfinished: a write was cut short, or is going on: {mend}")
        known = json.loads(self.filesystem.open_input_stream(self.file(MANIFEST)).read())
        if other := [f"{key}={known.get(key)!r}" for key in options if known.get(key) != options[key]]:
            raise UserError(f"{self.shown}: was written with {', '.join(other)}: {mend}")
        if options["version"] is None:
            raise UserError(f"{self.shown}: has been written, and without a version nothing says of what: {mend}")
        if known["files"] != self.sizes():
            raise UserError(f"{self.shown}: its files aren't those that were written: {mend}")
        return True

    @contextmanager
    def unfinished(self) -> Iterator[dict[str, Any]]:
        """The mark stands for as long as the block is at work; after an error the folder is empty.

        Yields:
            What becomes the manifest.

        Raises:
            UserError: the folder can't be written.
        """
        manifest: dict[str, Any] = {}
        try:
            self.filesystem.create_dir(self.path, recursive=True)
            self._write(UNFINISHED, "saccade.plugins.ray.dataset.write_dataset is at work here, or was cut short\n")
        except OSError as error:
            raise UserError(f"{self.shown}: can't be written ({_first_line(error)})") from None
        try:
            yield manifest
            self._write(MANIFEST, json.dumps(manifest, indent=2) + "\n")
        except Exception as error:
            self.clear()
            if isinstance(error, OSError):
                raise UserError(f"{self.shown}: can't be written ({_first_line(error)})") from None
            raise
        self.filesystem.delete_file(self.file(UNFINISHED))

    def clear(self) -> None:
        """Delete the Parquet files and the manifest; the mark goes last, so that it can be done again if cut short."""
        self._write(UNFINISHED, "")
        names = [name for name in self._entries() if name == MANIFEST or name.endswith(".parquet")]
        for name in [*names, UNFINISHED]:
            self.filesystem.delete_file(self.file(name))

    def _entries(self) -> dict[str, int]:
        found = self.filesystem.get_file_info(fs.FileSelector(self.path, allow_not_found=True))
        return {info.base_name: info.size for info in found}

    def _write(self, name: str, text: str) -> None:
        with self.filesystem.open_output_stream(self.file(name)) as file:
            file.write(text.encode())


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
