"""What a checkpoint consists of: ``manifest.json``, written last, with the size and hash of every other file.

The manifest carries the hash of its own content as well, so a flipped bit in it is found like one in any other file.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from saccade.pipelines.errors import UserError

NAME = "manifest.json"
VERSION = 1

StateKind = Literal["element", "row"]
Range = tuple[int, int]


class DamagedCheckpoint(UserError):
    """A file of a checkpoint isn't what was written.

    Attributes:
        file: the file's path inside the checkpoint.
        reason: what is wrong with it.
    """

    def __init__(self, checkpoint: Path, file: str, reason: str) -> None:
        super().__init__(f"checkpoint {checkpoint} is damaged ({file}: {reason}): use another one")
        self.file = file
        self.reason = reason


@dataclass(frozen=True)
class FileEntry:
    """A file's size and the hash of its content."""

    bytes: int
    sha256: str


@dataclass(frozen=True)
class Piece:
    """A rectangle of a table in a file of its own.

    Attributes:
        file: path inside the checkpoint; it holds the tensor ``weight`` and one for each optimizer state.
        rows, columns: the (first, one past last) rows and columns that it covers.
    """

    file: str
    rows: Range
    columns: Range


@dataclass(frozen=True)
class TableEntry:
    """A table and how it was cut.

    Attributes:
        rows, dim: the whole table's size.
        states: optimizer state name -> ``element`` ([rows, columns] in each piece) or ``row`` ([rows]).
        pieces: rectangles that cover the table without overlap. Those of the same rows and other columns have the same
            values of a ``row`` state, which belongs to the whole row.
        features: what is looked up in it; empty where that isn't known.
    """

    rows: int
    dim: int
    states: Mapping[str, StateKind]
    pieces: Sequence[Piece]
    features: Sequence[str] = ()


@dataclass(frozen=True)
class Manifest:
    """The content of ``manifest.json``.

    Attributes:
        step: optimizer steps taken.
        created: when, in ISO 8601, UTC.
        training: whatever the training loop needs to go on.
        job: the resolved job.
        engine: small numbers of the engine as a whole (its loss scale, …), by name.
        tables: by name.
        network: tensor name (``weight/NAME`` or ``optimizer/STATE/NAME``) -> the file that holds it.
        files: path inside the checkpoint -> size and hash, for all files but the manifest.
    """

    step: int
    created: str
    training: Mapping[str, Any]
    job: Mapping[str, Any]
    engine: Mapping[str, float]
    tables: Mapping[str, TableEntry]
    network: Mapping[str, str]
    files: Mapping[str, FileEntry]

    def write(self, folder: Path) -> None:
        """Write it into ``folder`` and wait until it is on the disk."""
        content = plain({"version": VERSION, **asdict(self)})
        text = json.dumps(content | {"sha256": _digest(content)}, indent=1)
        with (folder / NAME).open("w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())

    @staticmethod
    def read(folder: Path) -> Manifest:
        """Read the manifest of the checkpoint in ``folder``.

        Raises:
            UserError: there is no such folder, or another version of Saccade wrote it.
            DamagedCheckpoint: the manifest is missing or isn't what was written.
        """
        if not folder.is_dir():
            raise UserError(f"there is no checkpoint {folder}: give the path of a folder step-…")
        try:
            content = json.loads((folder / NAME).read_bytes())
        except FileNotFoundError:
            raise DamagedCheckpoint(folder, NAME, "missing") from None
        except OSError as error:
            raise DamagedCheckpoint(folder, NAME, f"can't be read, {error.strerror}") from None
        except ValueError:
            raise DamagedCheckpoint(folder, NAME, "cut off or not JSON") from None
        if not isinstance(content, dict) or content.pop("sha256", None) != _digest(content):
            raise DamagedCheckpoint(folder, NAME, "hash differs")
        if content.pop("version") != VERSION:
            raise UserError(f"checkpoint {folder} isn't of format {VERSION}: open it with the Saccade that wrote it")
        manifest = _parse(content)
        # A checkpoint may have come from anywhere: nothing outside its folder is ever opened on its behalf.
        for file in [*manifest.files, *manifest.network.values(), *_piece_files(manifest)]:
            if file not in manifest.files or PurePosixPath(file).is_absolute() or ".." in PurePosixPath(file).parts:
                raise DamagedCheckpoint(folder, NAME, f"names a file outside the checkpoint, {file}")
        return manifest


def plain(value: Mapping[str, Any]) -> dict[str, Any]:
    """``value`` as it will be read back from JSON (keys strings, sequences lists).

    Raises:
        TypeError: something in it isn't JSON.
    """
    content: dict[str, Any] = json.loads(json.dumps(value))
    return content


def _digest(content: Mapping[str, Any]) -> str:
    """The hash of a JSON object, whatever its white space and the order of its keys."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _piece_files(manifest: Manifest) -> list[str]:
    return [piece.file for table in manifest.tables.values() for piece in table.pieces]


def _parse(content: dict[str, Any]) -> Manifest:
    tables = {
        name: TableEntry(
            rows=table["rows"],
            dim=table["dim"],
            states=table["states"],
            pieces=[Piece(p["file"], _range(p["rows"]), _range(p["columns"])) for p in table["pieces"]],
            features=table.get("features", []),
        )
        for name, table in content.pop("tables").items()
    }
    files = {path: FileEntry(**entry) for path, entry in content.pop("files").items()}
    content.setdefault("engine", {})  # checkpoints of the first weeks have none
    return Manifest(tables=tables, files=files, **content)


def _range(value: list[int]) -> Range:
    first, end = value
    return first, end
