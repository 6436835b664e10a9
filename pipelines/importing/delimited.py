"""Lines with separators: columns of bytes, and the number of every row's line.

pyarrow.csv splits the values. What it doesn't tell is which line a row was, and one bad byte in a row of the wrong
length ends its reading; so rows are told apart here first. Quoting is that of RFC 4180, strictly: a quote opens a value
only where a value begins, may span lines, and closes only before a separator or a line end. A line that breaks this is
rejected by itself, so that one stray quote doesn't swallow what follows.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv

from saccade.pipelines.importing.chunk import Chunk
from saccade.pipelines.importing.lines import LONGEST_LINE, Lines
from saccade.pipelines.importing.reject import Reject, shown

_QUOTE = ord('"')
_CLOSED = re.compile(rb'[^"]*+(?:""[^"]*+)*+"')  # what follows an opening quote
_BROKEN = -1
_ASCII = bytes(byte if byte < 0x80 else ord("?") for byte in range(256))
_UNIT = b"\x1f"  # takes the place of a separator of several characters


@dataclass(frozen=True)
class Dialect:
    """How lines are split.

    Attributes:
        separator: ASCII, one character or several.
        quoted: whether values may stand in double quotes; only between separators of one character.
    """

    separator: str
    quoted: bool

    @property
    def byte(self) -> bytes:
        """The separator as the one byte that stands for it."""
        return self.separator.encode() if len(self.separator) == 1 else _UNIT

    def split(self, line: str) -> list[str]:
        """One line's values."""
        if not self.quoted:
            return line.split(self.separator)
        return next(csv.reader([line], delimiter=self.separator), [])


def read_columns(blocks: Iterator[Lines], dialect: Dialect, width: int, wanted: Sequence[int]) -> Iterator[Chunk]:
    """Split lines into columns.

    Args:
        blocks: lines, of one file or of several.
        dialect: how they are split.
        width: how many values a row has; others are rejected, empty lines left out.
        wanted: the places of the columns to give, from 0; their names are these numbers.
    """
    carried: Lines | None = None
    for block in blocks:
        lines = _joined(carried, block) if carried is not None else block
        records, carried = _records(lines, dialect)
        yield _parse(records, dialect, width, wanted)


@dataclass(frozen=True, eq=False)
class _Records:
    """Rows that may span lines.

    Attributes:
        lines: the lines that they consist of.
        firsts: [R] the index of each one's first line.
    """

    lines: Lines
    firsts: npt.NDArray[np.int64] = field(repr=False)

    def text(self, record: int) -> str:
        after = int(self.firsts[record + 1]) if record + 1 < len(self.firsts) else len(self.lines)
        return shown(self.lines.line(int(self.firsts[record]), after))


def _joined(before: Lines, after: Lines) -> Lines:
    return Lines(
        after.file,
        before.data + after.data,
        np.concatenate([before.starts, after.starts + len(before.data)]),
        np.concatenate([before.numbers, after.numbers]),
        [*before.rejects, *after.rejects],
        after.last,
    )


def _records(lines: Lines, dialect: Dialect) -> tuple[_Records, Lines | None]:
    """Rows, and the lines of one whose quotes aren't closed yet."""
    if not dialect.quoted or b'"' not in lines.data:
        return _Records(lines, np.arange(len(lines))), None
    begins = np.ones(len(lines), bool)  # whether a record begins in the line
    kept = np.ones(len(lines), bool)
    rejects: list[Reject] = []
    after = 0
    rest: Lines | None = None
    for line in _unclear(lines, dialect.byte).tolist():
        if line < after:
            continue  # part of the record before
        end = _record_end(lines, line, dialect.byte)
        if end is None and not lines.last and len(lines.data) - lines.starts[line] <= LONGEST_LINE:
            rest = _slice(lines, line)
            kept[line:] = False
            break
        if end is None or end == _BROKEN or lines.starts[end - 1] - lines.starts[line] > LONGEST_LINE:
            kept[line] = False
            reason = "a quote that isn't closed before a separator or a line end"
            rejects.append(Reject(lines.file, int(lines.numbers[line]), reason, shown(lines.line(line))))
            continue
        begins[line + 1 : end] = False
        after = end
    if not kept.all():
        lines = lines.keep(kept, rejects)
    return _Records(lines, np.flatnonzero(begins[kept])), rest


def _slice(lines: Lines, first: int) -> Lines:
    begin = lines.starts[first]
    return Lines(lines.file, lines.data[begin:], lines.starts[first:] - begin, lines.numbers[first:])


def _unclear(lines: Lines, separator: bytes) -> npt.NDArray[np.int64]:
    """Lines whose quotes aren't all closed in the line and beside a separator, a line end or another quote."""
    data = np.frombuffer(lines.data, np.uint8)
    quotes = np.flatnonzero(data == _QUOTE)
    of_line = np.searchsorted(lines.starts, quotes, side="right") - 1
    first = np.searchsorted(of_line, of_line)  # where the quotes of the same line begin
    closes = (np.arange(len(quotes)) - first) % 2 == 1
    beside = np.where(closes, data[np.minimum(quotes + 1, len(data) - 1)], data[np.maximum(quotes - 1, 0)])
    fits = (beside == separator[0]) | (beside == ord("\n")) | (beside == _QUOTE)
    fits |= (quotes == 0) & ~closes
    odd = np.bincount(of_line, minlength=len(lines)) % 2 == 1
    odd[of_line[~fits]] = True
    return np.flatnonzero(odd)


def _record_end(lines: Lines, line: int, separator: bytes) -> int | None:
    """The line after the record that begins in ``line``; None if a quote isn't closed, _BROKEN if before something."""
    data, place = lines.data, int(lines.starts[line])
    while True:
        if data[place] == _QUOTE:
            closed = _CLOSED.match(data, place + 1)
            if closed is None:
                return None
            if data[closed.end() : closed.end() + 1] not in (separator, b"\n"):
                return _BROKEN
            place = closed.end()
        else:
            end = data.index(b"\n", place)
            found = data.find(separator, place, end)
            place = end if found < 0 else found
        if data[place] == ord("\n"):
            return int(np.searchsorted(lines.starts, place, side="right"))
        place += 1


def _parse(records: _Records, dialect: Dialect, width: int, wanted: Sequence[int]) -> Chunk:
    lines = records.lines
    data = lines.data if len(dialect.separator) == 1 else lines.data.replace(dialect.separator.encode(), _UNIT)
    lengths = np.diff(np.append(lines.starts[records.firsts], len(lines.data)))
    firsts = records.firsts[lengths > 1]  # pyarrow leaves empty lines out and doesn't count them
    faults: list[tuple[int, int]] = []  # row, number of values
    # pyarrow can't skip a row of another length if it isn't UTF-8: such rows are found without the odd bytes.
    clean = _is_utf8(data)
    table = _split(data if clean else data.translate(_ASCII), dialect, width, wanted, faults)
    bad = np.array([row for row, _ in faults], np.int64)
    rejects = [
        Reject(
            lines.file,
            int(lines.numbers[firsts[row]]),
            f"{found} column{'s' * (found != 1)} instead of {width}",
            _Records(lines, firsts).text(row),
        )
        for row, found in faults
    ]
    if not clean:
        kept = np.ones(len(lines), bool)
        ends = np.append(firsts[1:], len(lines))
        for row in bad.tolist():
            kept[firsts[row] : ends[row]] = False
        less = lines.keep(kept, [])
        data = less.data.replace(dialect.separator.encode(), dialect.byte)
        table = _split(data, dialect, width, wanted, [])
    rows = np.delete(firsts, bad)
    if len(rows) != len(table):
        raise AssertionError(f"{lines.file}: {len(rows)} rows came apart as {len(table)}")
    where = _Records(lines, firsts)
    places = np.delete(np.arange(len(firsts)), bad)
    return Chunk(
        lines.file,
        table,
        lines.numbers[rows],
        [*lines.rejects, *rejects],
        lambda row: where.text(int(places[row])),
    )


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _split(data: bytes, dialect: Dialect, width: int, wanted: Sequence[int], faults: list[tuple[int, int]]) -> pa.Table:
    names = [str(place) for place in range(width)]

    def note(row: pyarrow.csv.InvalidRow) -> str:
        faults.append((row.number - 1, row.actual_columns))
        return "skip"

    return pyarrow.csv.read_csv(
        pa.BufferReader(data or b"\n"),
        # One block, one thread: rows are numbered only so, and the block is small.
        pyarrow.csv.ReadOptions(use_threads=False, column_names=names, block_size=len(data) + 1),
        pyarrow.csv.ParseOptions(
            delimiter=dialect.byte.decode(),
            quote_char='"' if dialect.quoted else False,
            newlines_in_values=dialect.quoted,
            invalid_row_handler=note,
        ),
        pyarrow.csv.ConvertOptions(
            include_columns=[str(place) for place in wanted],
            column_types=dict.fromkeys(names, pa.binary()),
            strings_can_be_null=False,
        ),
    )
