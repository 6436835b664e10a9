"""IDX, the format of MNIST: all images in one file, all labels in another."""

from __future__ import annotations

import gzip
import math
import re
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import pyarrow as pa

from saccade.pipelines.errors import UserError
from saccade.pipelines.importing.folder import list_files, shown
from saccade.pipelines.importing.format import Format, Rows
from saccade.pipelines.importing.images.picture import COLUMN_TYPES, COLUMNS
from saccade.pipelines.importing.intake import Intake
from saccade.pipelines.importing.labels import with_label_names
from saccade.pipelines.importing.media import Batches, Meter, message_of, schema_of
from saccade.pipelines.importing.parts import Division, part_of

_IMAGES = re.compile(r"images([-.]idx[34])", re.IGNORECASE)
_MOST_PIXELS = 2**24


@dataclass(frozen=True)
class _Pair:
    part: str | None
    images: Path
    labels: Path


def read(source: Path, options: Division, intake: Intake) -> Rows:
    """Rows of all images, in the files' order."""
    pairs = _find(source)
    options.check(str(source), {pair.part for pair in pairs if pair.part})
    labels = [_labels(pair.labels) for pair in pairs]
    names = map(str, range(max((max(found, default=0) for found in labels), default=0) + 1))
    batches = Batches(with_label_names(schema_of(**COLUMN_TYPES, label=pa.int32()), names))
    meter = Meter(intake, sum(pair.images.stat().st_size for pair in pairs))
    for pair, found in zip(pairs, labels, strict=True):
        with _Idx(pair.images) as file:
            match file.shape:
                case (count, height, width):
                    channels = 1
                case (count, height, width, 1 | 3 as channels):
                    pass
                case _:
                    raise UserError(
                        f"{pair.images}: has the shape {file.shape}: images are [N, H, W], [N, H, W, 1 or 3]"
                    )
            if count != len(found):
                raise UserError(
                    f"{pair.images}: has {count:,} images, but {pair.labels.name} has {len(found):,} labels"
                )
            size = height * width * channels
            if not 0 < size <= _MOST_PIXELS:
                raise UserError(f"{pair.images}: states images of {height} x {width} pixels")
            for number, label in enumerate(found):
                image = file.read(size)
                meter.add(file.advanced())
                row = {"image": image, "height": height, "width": width, "channels": channels, "label": label}
                split = options.split(pair.part, f"{pair.images.name}:{number}")
                yield from batches.add(split, row, size)
            file.end()
    yield from batches.rest()


def _find(source: Path) -> list[_Pair]:
    files = list_files(source)
    pairs = []
    for name in files:
        match = _IMAGES.search(name)
        if match is None:
            continue
        wanted = re.compile(re.escape(name[: match.start()]) + r"labels[-.]idx1.*", re.IGNORECASE)
        beside = [other for other in files if wanted.fullmatch(other)]
        if len(beside) != 1:
            raise UserError(f"{source / name}: {len(beside)} files beside it hold its labels (…labels-idx1-ubyte, .gz)")
        # emnist-letters-train-images-…: the split is some word of the name.
        words = re.split(r"[-_./]", shown(name)[: match.start()])
        part = next((part for word in words if (part := part_of(word))), None)
        pairs.append(_Pair(part, source / name, source / beside[0]))
    if not pairs:
        raise UserError(f"{source}: holds no images in IDX (files such as train-images-idx3-ubyte, .gz)")
    return pairs


def _labels(path: Path) -> bytes:
    with _Idx(path) as file:
        if len(file.shape) != 1:
            raise UserError(f"{path}: has the shape {file.shape}: labels are [N]")
        labels = file.read(file.shape[0])
        file.end()
    return labels


class _Idx:
    """An IDX file of bytes, packed or not. Every failure is a UserError that names it: it can't be gone on from."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._told = 0

    def __enter__(self) -> _Idx:
        try:
            self._raw = self._path.open("rb")
        except OSError as error:
            raise UserError(f"{self._path}: can't be opened ({error.strerror})") from error
        packed = self._path.name.lower().endswith(".gz")
        self._file = cast(BinaryIO, gzip.GzipFile(fileobj=self._raw)) if packed else self._raw
        zeros, kind, dimensions = struct.unpack(">HBB", self.read(4))
        if zeros or kind != 8 or not dimensions:
            raise UserError(
                f"{self._path}: is no IDX file of bytes (it begins with {zeros:04x}{kind:02x}{dimensions:02x})"
            )
        self.shape: tuple[int, ...] = struct.unpack(f">{dimensions}I", self.read(4 * dimensions))
        stated = 4 + 4 * dimensions + math.prod(self.shape)
        if not packed and (size := self._path.stat().st_size) != stated:
            raise UserError(f"{self._path}: states {self.shape}, {stated:,} bytes, but has {size:,}")
        return self

    def __exit__(self, *_: Any) -> None:
        self._raw.close()

    def read(self, count: int) -> bytes:
        """So many bytes; in pieces, because a damaged header may ask for any number."""
        pieces = []
        try:
            while count and (piece := self._file.read(min(count, 2**24))):
                pieces.append(piece)
                count -= len(piece)
        except (OSError, EOFError, zlib.error) as error:
            raise UserError(f"{self._path}: can't be read ({message_of(error)})") from error
        if count:
            raise UserError(f"{self._path}: is cut off, or its first bytes are damaged: {count:,} bytes are missing")
        return b"".join(pieces)

    def end(self) -> None:
        """Check that there is nothing more."""
        try:
            more = self._file.read(1)
        except (OSError, EOFError, zlib.error) as error:  # the check sum of a packed file
            raise UserError(f"{self._path}: can't be read ({message_of(error)})") from error
        if more:
            raise UserError(f"{self._path}: has more bytes than {self.shape} needs")

    def advanced(self) -> int:
        """Bytes of the file that were read since the last call."""
        position = self._raw.tell()
        count, self._told = position - self._told, position
        return count


IDX = Format(
    help="IDX (MNIST): …images-idx3-ubyte and …labels-idx1-ubyte, .gz or not.",
    options=Division,
    read=read,
    columns={name: meaning for name, meaning in COLUMNS.items() if name != "file"},
    examples=("idx mnist data/mnist --valid 0.1",),
)
