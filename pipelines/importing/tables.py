"""Interactions from tables of text: csv, tsv, and "user item" lines."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from itertools import groupby
from pathlib import Path
from typing import Literal

from saccade.pipelines.errors import UserError
from saccade.pipelines.importing.chunk import Chunk
from saccade.pipelines.importing.delimited import Dialect, read_columns
from saccade.pipelines.importing.format import Format, Rows, option
from saccade.pipelines.importing.histories import COLUMNS, JOB, POSITIVE, HistoryOptions, histories
from saccade.pipelines.importing.intake import Intake
from saccade.pipelines.importing.interactions import Fields, check_time_format, read_interactions
from saccade.pipelines.importing.lines import Lines, first_line, read_lines, source_files

_SHOWN = 20  # names of columns in a message


@dataclass(frozen=True, kw_only=True)
class ColumnOptions(HistoryOptions):
    """Which columns mean what.

    Attributes:
        user, item, time, rating, positive, time_format: see their help.
    """

    user: str = option("user_id", "Column of the user.")
    item: str = option("item_id", "Column of the item.")
    time: str | None = option(None, "Column of the time; without it histories keep the order of the file.")
    rating: str | None = option(None, "Column of the rating.")
    positive: float | None = POSITIVE
    time_format: str = option(
        "auto",
        "seconds, milliseconds, microseconds or nanoseconds since 1970, iso, or a pattern such as '%d/%m/%Y %H:%M'; "
        "auto: the first row decides.",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_time_format(self.time_format)
        fields = self.fields.names
        for name in fields:
            if fields.count(name) > 1:
                raise UserError(f"column {name!r} is named twice among --user, --item, --time and --rating")
        if self.positive is not None and self.rating is None:
            raise UserError("--positive needs ratings: name their column with --rating")

    @property
    def fields(self) -> Fields:
        """The columns by what they mean."""
        return Fields(self.user, self.item, self.time, self.rating)


@dataclass(frozen=True, kw_only=True)
class CsvOptions(ColumnOptions):
    """How a table is written.

    Attributes:
        separator, header, quotes: see their help.
    """

    separator: str = option(",", "What stands between values: one character, or several: nothing is quoted then.")
    header: bool = option(True, "Whether the first line names the columns; without it they are called 1, 2, 3, …")
    quotes: bool = option(True, 'Whether values may stand in double quotes ("").')

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.separator or not self.separator.isascii() or set(self.separator) & set('"\r\n'):
            raise UserError(f"--separator is {self.separator!r}: it must be ASCII without quotes and line ends")

    @property
    def dialect(self) -> Dialect:
        """How lines are split."""
        return Dialect(self.separator, self.quotes and len(self.separator) == 1)


@dataclass(frozen=True, kw_only=True)
class TsvOptions(CsvOptions):
    """Values between tabs."""

    separator: str = option("\t", "What stands between values: one character, or several: nothing is quoted then.")


@dataclass(frozen=True, kw_only=True)
class TextOptions(HistoryOptions):
    """Ids are numbers already, and stay what they are."""

    item_order: Literal["count", "value"] = option(
        "value",
        "Number items by their own ids (1, 2, 3, … then stay what they are), or by how often they come (count).",
    )


def read_csv(source: Path, options: CsvOptions, intake: Intake) -> Rows:
    """Histories from lines with separators."""
    chunks = read_table(source_files(source), options.dialect, options.fields.names, intake, options.header)
    found = read_interactions(chunks, options.fields, options.time_format, intake)
    return histories(found, options, intake, positive=options.positive)


def read_text(source: Path, options: TextOptions, intake: Intake) -> Rows:
    """Histories from "user item" lines."""
    chunks = read_table(source_files(source), Dialect(" ", False), ["user", "item"], intake, ["user", "item"])
    return histories(read_interactions(chunks, Fields("user", "item"), "auto", intake), options, intake)


def read_table(
    files: list[Path], dialect: Dialect, wanted: Sequence[str], intake: Intake, header: bool | Sequence[str]
) -> Iterator[Chunk]:
    """Some columns of files, which may have them in different places.

    Args:
        files: what to read.
        dialect: how lines are split.
        wanted: the columns' names.
        intake: takes the rejects.
        header: whether the first line that isn't empty has the columns' names, or these names; without they are
            called 1, 2, 3, ….

    Raises:
        UserError: a file can't be read, or has no such column.
    """
    layouts = {str(file): _Layout.find(file, dialect, wanted, header) for file in files}
    for file, blocks in groupby(read_lines(files, intake), key=lambda lines: lines.file):
        layout = layouts[file]
        for chunk in read_columns(layout.body(blocks), dialect, layout.width, layout.places):
            yield replace(chunk, table=chunk.table.rename_columns(list(wanted)))


@dataclass(frozen=True)
class _Layout:
    """Where a file has its columns.

    Attributes:
        width: how many there are.
        places: of the wanted ones, from 0.
        begin: the line after the header.
    """

    width: int
    places: list[int]
    begin: int

    @staticmethod
    def find(file: Path, dialect: Dialect, wanted: Sequence[str], header: bool | Sequence[str]) -> _Layout:
        if not isinstance(header, bool):
            return _Layout(len(header), [list(header).index(name) for name in wanted], 1)
        number, line = first_line(file)
        if not line:
            if header:
                raise UserError(f"{file}: is empty, without even the names of columns")
            return _Layout(len(wanted), list(range(len(wanted))), 1)
        try:
            names = [name.strip() for name in dialect.split(line)]
        except csv.Error as error:
            raise UserError(f"{file} line {number}: the names of columns can't be read ({error})") from error
        if not header:
            names = [str(place + 1) for place in range(len(names))]
        return _Layout(len(names), [_place(name, names, file) for name in wanted], number + 1 if header else 1)

    def body(self, blocks: Iterator[Lines]) -> Iterator[Lines]:
        """Lines without the header."""
        for lines in blocks:
            after = lines.numbers >= self.begin
            yield lines if after.all() else lines.keep(after, [])


def _place(name: str, names: list[str], file: Path) -> int:
    if names.count(name) == 1:
        return names.index(name)
    shown = ", ".join(map(repr, names[:_SHOWN])) + (", …" if len(names) > _SHOWN else "")
    if name in names:
        raise UserError(f"{file}: column {name!r} is there {names.count(name)} times: {shown}")
    near = get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f": did you mean {near[0]!r}?" if near else ":"
    one = "; only one, so look at --separator" if len(names) == 1 else ""
    raise UserError(f"{file}: has no column {name!r}{hint} It has {shown[:500]}{one}")


CSV = Format(
    "Interactions in a table: one line each, values between commas (or what --separator says).",
    CsvOptions,
    read_csv,
    COLUMNS,
    (
        "csv events.csv data/events --user user_id --item item_id --time timestamp",
        "csv 'logs/*.csv.gz' data/events --user u --item i --time t --time-format iso --min-user 5 --min-item 5",
        "csv ratings.csv data/liked --user 1 --item 2 --rating 3 --time 4 --no-header --positive 4",
    ),
    JOB,
)
TSV = replace(
    CSV,
    help="Interactions in a table: one line each, values between tabs.",
    options=TsvOptions,
    examples=("tsv events.tsv data/events --user user_id --item item_id --time timestamp",),
)
TEXT = Format(
    'Interactions as "user item" lines in the order of time, as SASRec publishes its data.',
    TextOptions,
    read_text,
    COLUMNS,
    ("user_item ml-1m.txt data/ml-1m",),
    JOB,
)
