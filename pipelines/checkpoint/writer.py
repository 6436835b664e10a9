"""Saves a checkpoint: every rank writes its share, then rank 0 seals it with the manifest and renames the folder.

Until that rename nothing counts, so a crash, a full disk or a lost rank at any moment leaves the older checkpoints as
they were. What is left half written is removed by the next save.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import math
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from saccade.models.table import Table
from saccade.pipelines.checkpoint.manifest import FileEntry, Manifest, Piece, StateKind, TableEntry, plain
from saccade.pipelines.checkpoint.retention import clean, remove, step_name
from saccade.pipelines.collective import Collective
from saccade.pipelines.errors import UserError
from saccade.pipelines.shard import TableShard

if TYPE_CHECKING:  # engine.py imports the reader, and so this package
    from saccade.pipelines.engine import EngineState

# Room for the headers, the manifest and the run's own small files on top of the tensors.
_SPARE_BYTES = 1 << 20

T = TypeVar("T")


@dataclass
class _Share:
    """What one rank wrote."""

    files: dict[str, FileEntry] = field(default_factory=dict)
    pieces: list[tuple[str, Piece, dict[str, StateKind]]] = field(default_factory=list)
    network: dict[str, str] = field(default_factory=dict)


class _NotWrittenError(Exception):
    """Some rank could not write its share; the message says why."""


def save(
    folder: Path,
    state: EngineState,
    *,
    step: int,
    training: Mapping[str, Any],
    job: Mapping[str, Any],
    tables: Sequence[Table],
    collective: Collective,
) -> Path:
    """Write a checkpoint. A collective: all ranks call it with the same arguments, except for ``state``.

    Args:
        folder: the run's ``checkpoints``, on storage that all ranks see; made where it is missing.
        state: this rank's share.
        step: optimizer steps taken. A checkpoint of the same step is replaced.
        training: what the loop needs to go on, as JSON values.
        job: the resolved job, as JSON values.
        tables: the model's tables.
        collective: the ranks.

    Returns:
        The checkpoint's folder.

    Raises:
        UserError: it could not be written (disk full, no permission, …), on all ranks alike. Older checkpoints are
            as they were, and nothing of this one is left.
        ValueError: the ranks' shares together aren't the tables (a mistake in an engine).
    """
    training, job = plain(training), plain(job)
    target = folder / step_name(step)
    writing = folder / f"{target.name}.writing"
    first = collective.rank == 0
    needed = sum(collective.gather_objects(_bytes(state))) + _SPARE_BYTES
    try:
        _together(collective, lambda: _prepare(folder, writing, needed) if first else None)
        shares = _together(collective, lambda: _write_share(writing, state, collective))
        entries = _table_entries(tables, shares)
        manifest = Manifest(
            step=step,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            training=training,
            job=job,
            tables=entries,
            network={name: file for share in shares for name, file in share.network.items()},
            files={path: entry for share in shares for path, entry in share.files.items()},
        )
        _together(collective, lambda: _seal(manifest, writing, target) if first else None)
    except _NotWrittenError as error:
        if first:
            with contextlib.suppress(OSError):
                clean(folder)
        raise UserError(
            f"checkpoint {target.name} could not be written to {folder}: {error} (needs {needed / 2**20:.1f} MiB, "
            f"{_free(folder)}): mend that or set another run.storage; older checkpoints are untouched"
        ) from None
    return target


def _together(collective: Collective, action: Callable[[], T]) -> list[T]:
    """Every rank's result of ``action``; where it fails on one rank, all of them raise."""
    outcome: tuple[T | None, str | None]
    try:
        outcome = action(), None
    except (OSError, SafetensorError) as error:
        outcome = None, _reason(error)
    outcomes = collective.gather_objects(outcome)
    for rank, (_, failure) in enumerate(outcomes):
        if failure is not None:
            raise _NotWrittenError(failure if collective.world_size == 1 else f"{failure} on rank {rank}")
    return [result for result, _ in outcomes]


def _prepare(folder: Path, writing: Path, needed: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    clean(folder)
    # Before anything is written, so that a save that can't end doesn't fill up what other programs need.
    if shutil.disk_usage(folder).free < needed:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    writing.mkdir()


def _write_share(writing: Path, state: EngineState, collective: Collective) -> _Share:
    share = _Share()
    for shard in state.shards:
        (top, bottom), (left, right) = shard.rows, shard.columns
        if bottom > top and right > left:
            file = f"tables/{shard.table}/rows-{top}-{bottom}_columns-{left}-{right}.safetensors"
            share.files[file] = _write(writing / file, {"weight": shard.weight, **shard.optimizer})
            share.pieces.append((shard.table, Piece(file, shard.rows, shard.columns), _kinds(shard)))
    if state.network:
        file = f"network/part-{collective.rank}-of-{collective.world_size}.safetensors"
        share.files[file] = _write(writing / file, state.network)
        share.network = dict.fromkeys(state.network, file)
    return share


def _write(path: Path, tensors: Mapping[str, Tensor]) -> FileEntry:
    """Write a safetensors file, wait until it is on the disk, and hash it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(_separate(tensors), path)
    with path.open("rb") as stream:
        os.fsync(stream.fileno())
        return FileEntry(path.stat().st_size, hashlib.file_digest(stream, "sha256").hexdigest())


def _separate(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors on the host; those that share memory (tied weights), which safetensors refuses, copied."""
    seen: set[int] = set()
    separate = {}
    for name, tensor in tensors.items():
        tensor = tensor.detach().cpu().contiguous()
        if tensor.untyped_storage().data_ptr() in seen:
            tensor = tensor.clone()
        seen.add(tensor.untyped_storage().data_ptr())
        separate[name] = tensor
    return separate


def _kinds(shard: TableShard) -> dict[str, StateKind]:
    height, width = shard.rows[1] - shard.rows[0], shard.columns[1] - shard.columns[0]
    shapes: dict[tuple[int, ...], StateKind] = {(height, width): "element", (height,): "row"}
    for name, tensor in {"weight": shard.weight, **shard.optimizer}.items():
        if tuple(tensor.shape) not in shapes or (name == "weight" and tensor.ndim != 2):
            raise ValueError(f"{shard.table}: {name} is {tuple(tensor.shape)} for rows {shard.rows}, {shard.columns}")
    return {name: shapes[tuple(tensor.shape)] for name, tensor in shard.optimizer.items()}


def _table_entries(tables: Sequence[Table], shares: Sequence[_Share]) -> dict[str, TableEntry]:
    """Put the ranks' pieces together, and see to it that they are the tables."""
    entries = {}
    for table in tables:
        found = [(piece, kinds) for share in shares for name, piece, kinds in share.pieces if name == table.name]
        pieces = sorted((piece for piece, _ in found), key=lambda piece: (piece.rows, piece.columns))
        area = sum((p.rows[1] - p.rows[0]) * (p.columns[1] - p.columns[0]) for p in pieces)
        states = found[0][1] if found else {}
        if area != table.rows * table.dim or any(kinds != states for _, kinds in found):
            cut = ", ".join(piece.file for piece in pieces)
            raise ValueError(f"these aren't the {table.rows} x {table.dim} of {table.name} with {states}: {cut}")
        entries[table.name] = TableEntry(table.rows, table.dim, states, pieces)
    return entries


def _seal(manifest: Manifest, writing: Path, target: Path) -> None:
    manifest.write(writing)
    for parent, _, _ in os.walk(writing):
        _sync_folder(Path(parent))
    replaced = target.with_suffix(".replaced")
    if target.exists():
        target.rename(replaced)
    writing.rename(target)
    _sync_folder(target.parent)
    if replaced.exists():
        remove(replaced)


def _sync_folder(folder: Path) -> None:
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


def _bytes(state: EngineState) -> int:
    tensors = [t for shard in state.shards for t in (shard.weight, *shard.optimizer.values())]
    return sum(math.prod(t.shape) * t.element_size() for t in [*tensors, *state.network.values()])


def _reason(error: OSError | SafetensorError) -> str:
    text = error.strerror if isinstance(error, OSError) else None
    return text or str(error).removeprefix("Error while serializing: I/O error: ")


def _free(folder: Path) -> str:
    try:
        return f"{shutil.disk_usage(folder).free / 2**20:.1f} MiB free"
    except OSError:
        return "free space unknown"
