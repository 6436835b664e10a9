"""Reads any rectangle of any tensor from a checkpoint, whatever the number of ranks and the sharding that wrote it."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from saccade.pipelines.checkpoint.digest import sha256
from saccade.pipelines.checkpoint.manifest import NAME, DamagedCheckpoint, Manifest, Piece, Range, TableEntry
from saccade.pipelines.errors import UserError


class CheckpointReader:
    """A checkpoint, opened lazily: tensors are read from the disk when, and as far as, they are asked for.

    Args:
        path: the folder ``step-…``.

    Attributes:
        path: that folder.
        manifest: its parsed ``manifest.json``.
        network: ``weight/NAME`` and ``optimizer/STATE/NAME`` -> full tensor on the host, read at each access.

    Raises:
        UserError: there is no such checkpoint, or another version of Saccade wrote it.
        DamagedCheckpoint: its manifest is damaged. Files are only checked by ``verify``.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.manifest = Manifest.read(self.path)
        self.network: Mapping[str, Tensor] = _NetworkTensors(self)
        self._opened: dict[str, Any] = {}  # safe_open, whose methods carry no types

    def damage(self, advance: Callable[[int], object] = lambda count: None) -> dict[str, str]:
        """Read every file and compare its size and hash with the manifest's.

        Args:
            advance: told of the bytes as they are read, from several threads.

        Returns:
            What is wrong by file; empty where nothing is.
        """
        # Hashing lets go of the interpreter lock, so threads hash several files at once.
        with ThreadPoolExecutor(4) as pool:
            reasons = pool.map(lambda file: self._check(file, advance), self.manifest.files)
            return {file: why for file, why in zip(self.manifest.files, reasons, strict=True) if why is not None}

    def verify(self) -> None:
        """Read every file and compare its size and hash with the manifest's.

        Raises:
            DamagedCheckpoint: a file differs; it names the first one.
        """
        for file, reason in self.damage().items():
            raise DamagedCheckpoint(self.path, file, reason)

    def table_rows(self, name: str) -> int:
        """The number of rows of a table."""
        return self._table(name).rows

    def table_dim(self, name: str) -> int:
        """The width of a table's rows."""
        return self._table(name).dim

    def network_shape(self, name: str) -> tuple[int, ...]:
        """The shape of one of ``network``'s tensors, without reading the tensor."""
        file = self.manifest.network[name]
        with self._naming(file):
            return tuple(self._open(file).get_slice(name).get_shape())

    def states(self, name: str) -> tuple[str, ...]:
        """The names of a table's optimizer states."""
        return tuple(self._table(name).states)

    def table(self, name: str, state: str, rows: Range | None = None, columns: Range | None = None) -> Tensor:
        """A rectangle of a table's weight or optimizer state.

        Args:
            name: the table.
            state: ``weight`` or the name of an optimizer state.
            rows: (first, one past last); all of them where None.
            columns: likewise.

        Returns:
            [rows, columns] on the host, or [rows] for a row-wise state, which is the same for all columns.

        Raises:
            UserError: no such table or state.
            ValueError: the rectangle leaves the table.
            DamagedCheckpoint: a file can't be read.
        """
        table = self._table(name)
        rows = (0, table.rows) if rows is None else rows
        columns = (0, table.dim) if columns is None else columns
        if not (0 <= rows[0] <= rows[1] <= table.rows and 0 <= columns[0] <= columns[1] <= table.dim):
            raise ValueError(f"rows {rows}, columns {columns} of table {name}, which has {table.rows} x {table.dim}")
        if state != "weight" and state not in table.states:
            raise UserError(
                f"checkpoint {self.path} has no optimizer state {state} for table {name} "
                f"(it has: {', '.join(table.states) or 'none'}): use the table optimizer that it was trained with"
            )
        if table.states.get(state) != "row":
            return self._assemble(name, state, table.pieces, (rows, columns))
        # A row's value stands in the piece of each of its columns: those of one column have every row once.
        column = min(columns[0], table.dim - 1)
        pieces = [piece for piece in table.pieces if piece.columns[0] <= column < piece.columns[1]]
        return self._assemble(name, state, pieces, (rows,))

    def _assemble(self, name: str, state: str, pieces: Sequence[Piece], wanted: tuple[Range, ...]) -> Tensor:
        """Copy what the pieces hold of the ``wanted`` rows (and columns, for a state that has them) into one tensor."""
        shape = tuple(end - first for first, end in wanted)
        out: Tensor | None = None
        filled = 0
        for piece in pieces:
            extent = (piece.rows, piece.columns)[: len(wanted)]
            shared = [(max(w[0], e[0]), min(w[1], e[1])) for w, e in zip(wanted, extent, strict=True)]
            if all(first < end for first, end in shared):
                part = self._read(piece.file, state, _within(shared, extent))
                out = part.new_empty(shape) if out is None else out
                out[_within(shared, wanted)] = part
                filled += part.numel()
        if filled != math.prod(shape):
            raise DamagedCheckpoint(self.path, NAME, f"the pieces of table {name} don't cover it")
        return torch.empty(shape) if out is None else out

    def _read(self, file: str, tensor: str, index: tuple[slice, ...] | None = None) -> Tensor:
        """A tensor of a file, or the part of it at ``index``; a file stays open for as long as the reader lives."""
        with self._naming(file):
            opened = self._open(file)
            found: Tensor = opened.get_tensor(tensor) if index is None else opened.get_slice(tensor)[index]
            return found

    def _open(self, file: str) -> Any:
        if file not in self._opened:
            self._opened[file] = safe_open(self.path / file, framework="pt")
        return self._opened[file]

    @contextlib.contextmanager
    def _naming(self, file: str) -> Iterator[None]:
        """DamagedCheckpoint for what goes wrong with a file."""
        try:
            yield
        except (OSError, SafetensorError) as error:
            raise DamagedCheckpoint(self.path, file, str(error)) from None

    def _table(self, name: str) -> TableEntry:
        if name not in self.manifest.tables:
            has = ", ".join(self.manifest.tables) or "none"
            raise UserError(f"checkpoint {self.path} has no table {name} (it has: {has}): use the job it was made by")
        return self.manifest.tables[name]

    def _check(self, file: str, advance: Callable[[int], object]) -> str | None:
        """What is wrong with a file, if anything."""
        entry, path = self.manifest.files[file], self.path / file
        try:
            size = path.stat().st_size
            if size != entry.bytes:
                return f"{size} bytes instead of {entry.bytes}"
            return None if sha256(path, advance) == entry.sha256 else "hash differs"
        except FileNotFoundError:
            return "missing"
        except OSError as error:
            return f"can't be read, {error.strerror}"


class _NetworkTensors(Mapping[str, Tensor]):
    """The network's tensors by name, each read when it is asked for."""

    def __init__(self, reader: CheckpointReader) -> None:
        self._reader = reader

    def __getitem__(self, name: str) -> Tensor:
        return self._reader._read(self._reader.manifest.network[name], name)

    def __contains__(self, name: object) -> bool:
        return name in self._reader.manifest.network

    def __iter__(self) -> Iterator[str]:
        return iter(self._reader.manifest.network)

    def __len__(self) -> int:
        return len(self._reader.manifest.network)


def _within(part: Sequence[Range], whole: Sequence[Range]) -> tuple[slice, ...]:
    """Where ``part`` lies, counted from the beginning of ``whole``."""
    return tuple(slice(first - start, end - start) for (first, end), (start, _) in zip(part, whole, strict=True))
