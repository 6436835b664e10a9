"""MovieLens as GroupLens publishes it, in each of its layouts, and as RecBole does."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from saccade.pipelines.errors import UserError
from saccade.pipelines.importing.delimited import Dialect
from saccade.pipelines.importing.details import Details
from saccade.pipelines.importing.format import Format, Rows
from saccade.pipelines.importing.histories import COLUMNS, JOB, histories
from saccade.pipelines.importing.intake import Intake
from saccade.pipelines.importing.interactions import Fields, read_interactions
from saccade.pipelines.importing.recbole import RatedOptions, read_recbole
from saccade.pipelines.importing.tables import read_table

_NAMES = ("userId", "movieId", "rating", "timestamp")
_FIELDS = Fields("userId", "movieId", time="timestamp", rating="rating")
# The flags at the end of each line of u.item, in their order; the README of ml-100k names them.
_GENRES = [
    "unknown",
    "Action",
    "Adventure",
    "Animation",
    "Children's",
    "Comedy",
    "Crime",
    "Documentary",
    "Drama",
    "Fantasy",
    "Film-Noir",
    "Horror",
    "Musical",
    "Mystery",
    "Romance",
    "Sci-Fi",
    "Thriller",
    "War",
    "Western",
]


@dataclass(frozen=True)
class _Layout:
    """One of the published layouts.

    Attributes:
        ratings: the file's name.
        dialect: how its lines are split.
        header: whether the first line has the columns' names.
        items: the name of the file with the titles.
        details: reads that.
    """

    ratings: str
    dialect: Dialect
    header: bool
    items: str
    details: Callable[[Path, Intake], Details]


def _of_100k(file: Path, intake: Intake) -> Details:
    def genres(row: Sequence[str]) -> list[str]:
        return [name for name, flag in zip(_GENRES, row[5:], strict=True) if flag == "1"]

    return Details(
        file,
        intake,
        split=lambda line: line.split("|"),
        width=5 + len(_GENRES),
        item=0,
        title=1,
        genres=genres,
        encoding="latin-1",
    )


def _of_1m(file: Path, intake: Intake) -> Details:
    return Details(
        file,
        intake,
        split=lambda line: line.split("::"),
        width=3,
        item=0,
        title=1,
        genres=_listed,
        encoding=_encoding(file),
    )


def _of_20m(file: Path, intake: Intake) -> Details:
    return Details(
        file, intake, split=lambda line: next(csv.reader([line])), width=3, item=0, title=1, genres=_listed, header=True
    )


def _listed(row: Sequence[str]) -> list[str]:
    return [] if row[2] == "(no genres listed)" else row[2].strip().split("|")


def _encoding(file: Path) -> str:
    """ml-1m is in Latin-1, ml-10m in UTF-8, and nothing in them says so."""
    try:
        file.read_bytes().decode()
    except UnicodeDecodeError:
        return "latin-1"
    return "utf-8"


_LAYOUTS = (
    _Layout("u.data", Dialect("\t", False), False, "u.item", _of_100k),
    _Layout("ratings.dat", Dialect("::", False), False, "movies.dat", _of_1m),
    _Layout("ratings.csv", Dialect(",", True), True, "movies.csv", _of_20m),
)


def read_movielens(source: Path, options: RatedOptions, intake: Intake) -> Rows:
    """Histories from a MovieLens folder, or from the file with the ratings."""
    if source.suffix == ".inter" or (source.is_dir() and any(source.glob("*.inter"))):
        return read_recbole(source, options, intake)
    file, layout = _find(source)
    items = file.with_name(layout.items)
    chunks = read_table([file], layout.dialect, _NAMES, intake, True if layout.header else _NAMES)
    return histories(
        read_interactions(chunks, _FIELDS, "seconds", intake),
        options,
        intake,
        positive=options.positive,
        details=layout.details(items, intake) if items.is_file() else None,
    )


def _find(source: Path) -> tuple[Path, _Layout]:
    for layout in _LAYOUTS:
        file = source / layout.ratings if source.is_dir() else source
        if file.name == layout.ratings and file.is_file():
            return file, layout
    wanted = ", ".join(layout.ratings for layout in _LAYOUTS)
    if not source.exists():
        raise UserError(f"{source}: no such file or folder")
    if source.suffix == ".zip":
        raise UserError(f"{source}: is a zip archive: unpack it and name the folder")
    has = "should have" if source.is_dir() else "should be"
    raise UserError(f"{source}: {has} one of {wanted} or a .inter file; `saccade data import csv` reads other tables")


MOVIELENS = Format(
    "MovieLens: the folder of ml-100k, ml-1m, ml-10m, ml-20m, ml-25m, ml-32m or ml-latest, or RecBole's .inter.",
    RatedOptions,
    read_movielens,
    COLUMNS,
    ("movielens ml-1m data/ml-1m", "movielens ml-20m data/ml-20m --positive 4 --min-user 5 --min-item 5"),
    JOB,
)
