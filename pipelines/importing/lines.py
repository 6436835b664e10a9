"""Lines of text files, a block at a time, each with its number.

The blocks end at line ends, so whatever reads them may take a line for a whole. Lines end as editors see it: LF, CRLF
or CR. Where the blocks are cut shows in nothing that is made of them.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from saccade.pipelines.errors import UserError
from saccade.pipelines.importing.intake import Intake
from saccade.pipelines.importing.reject import Reject, shown

LONGEST_LINE = 4 << 20
"""Bytes; a longer line is rejected, because a file without line ends must not fill the memory."""

_COMPRESSIONS = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
_OTHERS = {
    b"PK\x03\x04": "is a zip archive: unpack it and name the file inside",
    b"\xfd7zXZ\x00": "is compressed with xz: unpack it first",
    b"BZh91AY&": "is compressed with bzip2: unpack it first",
    b"PAR1": "is Parquet already: give it to a job as data.path",
    b"\xff\xfe": "is UTF-16: convert it with `iconv -f UTF-16 -t UTF-8`",
    b"\xfe\xff": "is UTF-16: convert it with `iconv -f UTF-16 -t UTF-8`",
}
_UTF8_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True, eq=False)
class Lines:
    """Whole lines of one file.

    Attributes:
        file: its path.
        data: the lines, each with its line end (LF).
        starts: [N] where each begins in ``data``.
        numbers: [N] of each in the file, from 1.
        rejects: lines among or before them that are left out.
        last: whether these are the file's last ones.
    """

    file: str
    data: bytes
    starts: npt.NDArray[np.int64]
    numbers: npt.NDArray[np.int64]
    rejects: list[Reject] = field(default_factory=list)
    last: bool = False

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """[N] bytes of each line, its end included."""
        return np.diff(self.starts, append=len(self.data))

    def line(self, first: int, after: int | None = None) -> bytes:
        """One line, or those up to ``after``, without the last one's end."""
        after = first + 1 if after is None else after
        end = self.starts[after] if after < len(self) else len(self.data)
        return self.data[self.starts[first] : end - 1]

    def keep(self, kept: npt.NDArray[np.bool_], rejects: list[Reject]) -> Lines:
        """Without some of the lines."""
        lengths = self.lengths
        data = np.frombuffer(self.data, np.uint8)[np.repeat(kept, lengths)].tobytes()
        starts = lengths[kept].cumsum() - lengths[kept]
        return replace(self, data=data, starts=starts, numbers=self.numbers[kept], rejects=[*self.rejects, *rejects])


def source_files(source: Path) -> list[Path]:
    """The file that was named, or the files that match it as a glob, sorted.

    Raises:
        UserError: nothing is there, or it is a folder.
    """
    if source.is_file():
        return [source]
    if source.is_dir():
        raise UserError(f"{source}: is a folder: name a file, or several as '{source}/*.csv'")
    found = sorted(Path(name) for name in glob.glob(str(source), recursive=True))
    files = [path for path in found if path.is_file()]
    if not files:
        raise UserError(f"{source}: no such file")
    return files


def read_lines(files: list[Path], intake: Intake) -> Iterator[Lines]:
    """The lines of some files, one after the other; those of gzip and zstd are known by their content.

    Raises:
        UserError: a file can't be read, is damaged, or is no text in UTF-8.
    """
    sizes = [_size(file) for file in files]
    for number, file in enumerate(files):
        before, total = sum(sizes[:number]), sum(sizes)
        try:
            with pa.OSFile(str(file)) as raw:
                for lines in _file(str(file), _decompressed(file, raw), intake.block_size):
                    intake.progress(before + raw.tell(), total)
                    yield lines
        except (OSError, pa.ArrowException) as error:
            raise UserError(f"{file}: can't be read to its end ({str(error).splitlines()[0]})") from error


def first_line(file: Path) -> tuple[int, str]:
    """A file's first line that isn't empty, and its number; no text where there is none.

    Raises:
        UserError: the file can't be read.
    """
    try:
        with pa.OSFile(str(file)) as raw:
            for lines in _file(str(file), _decompressed(file, raw), 1 << 16):
                for place in np.flatnonzero(lines.lengths > 1).tolist():
                    return int(lines.numbers[place]), lines.line(place).decode("utf-8", errors="replace")
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"{file}: can't be read ({str(error).splitlines()[0]})") from error
    return 0, ""


def _size(file: Path) -> int:
    try:
        return os.stat(file).st_size
    except OSError as error:
        raise UserError(f"{file}: can't be read ({error.strerror})") from error


def _decompressed(file: Path, raw: Any) -> Any:
    begin = raw.read(8)
    raw.seek(0)
    for mark, what in _OTHERS.items():
        if begin.startswith(mark):
            raise UserError(f"{file}: {what}")
    for mark, compression in _COMPRESSIONS.items():
        if begin.startswith(mark):
            return pa.CompressedInputStream(raw, compression)
    return raw


def _file(file: str, stream: Any, block_size: int) -> Iterator[Lines]:
    number = 1  # of the line that ``rest`` begins
    rest = b""
    skipping = False  # the rest of a line that was rejected for its length
    rejects: list[Reject] = []
    begun = False
    while True:
        read = stream.read(block_size)
        data = rest + read
        if not begun:
            if read and len(data) < len(_UTF8_MARK):
                rest = data
                continue
            data = data.removeprefix(_UTF8_MARK)
            begun = True
        held = b""
        if b"\r" in data:
            if read and data.endswith(b"\r"):  # half a CRLF, perhaps
                data, held = data[:-1], b"\r"
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        if not read and data and not data.endswith(b"\n"):
            data += b"\n"
        if skipping and (end := data.find(b"\n") + 1):
            data, skipping = data[end:], False
            number += 1
        elif skipping:
            data = b""
        cut = data.rfind(b"\n") + 1
        rest, data = data[cut:] + held, data[:cut]
        if data or not read:
            lines = _split(file, data, number, rejects, last=not read)
            number += data.count(b"\n")
            yield lines
            rejects = []
        if not read:
            return
        if len(rest) > LONGEST_LINE:
            rejects.append(_too_long(file, number, rest))
            rest, skipping = held, True


def _split(file: str, data: bytes, number: int, rejects: list[Reject], last: bool) -> Lines:
    ends = np.flatnonzero(np.frombuffer(data, np.uint8) == ord("\n")) + 1
    starts = np.concatenate([[0], ends[:-1]]).astype(np.int64) if len(ends) else ends
    lines = Lines(file, data, starts, np.arange(number, number + len(ends)), rejects, last)
    long = ends - starts > LONGEST_LINE
    if not long.any():
        return lines
    return lines.keep(
        ~long, [_too_long(file, number + i, data[starts[i] :][:200]) for i in np.flatnonzero(long).tolist()]
    )


def _too_long(file: str, number: int, text: bytes) -> Reject:
    return Reject(file, number, f"longer than {LONGEST_LINE:,} bytes", shown(text))
