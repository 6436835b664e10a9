"""What one rank writes of a checkpoint: a file for each of its pieces of tables, one for its part of the network."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors.torch import save_file
from torch import Tensor

from saccade.models.table import Table
from saccade.pipelines.checkpoint.digest import sha256
from saccade.pipelines.checkpoint.manifest import FileEntry, Piece, StateKind, TableEntry
from saccade.pipelines.shard import TableShard

if TYPE_CHECKING:  # engine.py imports the reader, and so this package
    from saccade.pipelines.engines.engine import EngineState


ARTIFACTS = "artifacts"
"""The folder inside a checkpoint of what was fitted to the data."""


@dataclass
class Share:
    """What one rank wrote.

    Attributes:
        files: path inside the checkpoint -> size and hash.
        pieces: (table, piece, kind of each optimizer state).
        network: tensor name -> file.
    """

    files: dict[str, FileEntry] = field(default_factory=dict)
    pieces: list[tuple[str, Piece, dict[str, StateKind]]] = field(default_factory=list)
    network: dict[str, str] = field(default_factory=dict)


def check_shapes(state: EngineState) -> None:
    """ValueError for a shard whose tensors don't have its size (a mistake in an engine)."""
    for shard in state.shards:
        _kinds(shard)


def write_share(folder: Path, state: EngineState, part: str, artifacts: Sequence[Path] = ()) -> Share:
    """Write a rank's state into the checkpoint's folder; returns once all of it is on the disk.

    Args:
        folder: exists; all ranks write into it.
        state: contiguous tensors on the host, none of which shares memory with another.
        part: names this rank's file of the network.
        artifacts: files to copy.

    Raises:
        OSError, SafetensorError: it could not be written.
    """
    share = Share()
    for shard in state.shards:
        (top, bottom), (left, right) = shard.rows, shard.columns
        if bottom > top and right > left:
            file = f"tables/{shard.table}/rows-{top}-{bottom}_columns-{left}-{right}.safetensors"
            share.files[file] = _write(folder / file, {"weight": shard.weight, **shard.optimizer})
            share.pieces.append((shard.table, Piece(file, shard.rows, shard.columns), _kinds(shard)))
    if state.network:
        file = f"network/{part}.safetensors"
        share.files[file] = _write(folder / file, state.network)
        share.network = dict.fromkeys(state.network, file)
    for artifact in artifacts:
        file = f"{ARTIFACTS}/{artifact.name}"
        (folder / ARTIFACTS).mkdir(exist_ok=True)
        shutil.copyfile(artifact, folder / file)
        share.files[file] = _entry(folder / file)
    for parent in {parent for file in share.files for parent in Path(file).parents}:
        sync_folder(folder / parent)
    return share


def table_entries(tables: Sequence[Table], shares: Sequence[Share]) -> dict[str, TableEntry]:
    """Put the ranks' pieces together.

    Raises:
        ValueError: they aren't the tables (a mistake in an engine).
    """
    entries = {}
    for table in tables:
        found = [(piece, kinds) for share in shares for name, piece, kinds in share.pieces if name == table.name]
        pieces = sorted((piece for piece, _ in found), key=lambda piece: (piece.rows, piece.columns))
        area = sum((p.rows[1] - p.rows[0]) * (p.columns[1] - p.columns[0]) for p in pieces)
        states = found[0][1] if found else {}
        if area != table.rows * table.dim or any(kinds != states for _, kinds in found):
            cut = ", ".join(piece.file for piece in pieces)
            raise ValueError(f"these aren't the {table.rows} x {table.dim} of {table.name} with {states}: {cut}")
        entries[table.name] = TableEntry(table.rows, table.dim, states, pieces, table.features)
    return entries


def save_readable(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write a safetensors file for everyone who may read its folder; safetensors alone makes it the owner's only.

    Raises:
        OSError, SafetensorError: it could not be written.
    """
    save_file(dict(tensors), path, metadata={"format": "pt"})
    path.chmod(path.parent.stat().st_mode & 0o666)


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk, where the file system can."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network file systems don't sync folders.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)


def _write(path: Path, tensors: Mapping[str, Tensor]) -> FileEntry:
    """Write a safetensors file, wait until it is on the disk, and hash it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_readable(tensors, path)
    return _entry(path)


def _entry(path: Path) -> FileEntry:
    """Wait until a file is on the disk, and hash it."""
    with path.open("rb") as stream:
        os.fsync(stream.fileno())
    return FileEntry(path.stat().st_size, sha256(path))


def _kinds(shard: TableShard) -> dict[str, StateKind]:
    height, width = shard.rows[1] - shard.rows[0], shard.columns[1] - shard.columns[0]
    shapes: dict[tuple[int, ...], StateKind] = {(height, width): "element", (height,): "row"}
    for name, tensor in {"weight": shard.weight, **shard.optimizer}.items():
        if tuple(tensor.shape) not in shapes or (name == "weight" and tensor.ndim != 2):
            raise ValueError(f"{shard.table}: {name} is {tuple(tensor.shape)} for rows {shard.rows}, {shard.columns}")
    return {name: shapes[tuple(tensor.shape)] for name, tensor in shard.optimizer.items()}
