"""RecBole's atomic files: ``NAME.inter`` with columns such as ``user_id:token``, and ``NAME.item`` beside it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from saccade.pipelines.errors import UserError
from saccade.pipelines.importing.delimited import Dialect
from saccade.pipelines.importing.details import Details
from saccade.pipelines.importing.format import Format, Rows
from saccade.pipelines.importing.histories import COLUMNS, JOB, POSITIVE, HistoryOptions, histories
from saccade.pipelines.importing.intake import Intake
from saccade.pipelines.importing.interactions import Fields, read_interactions
from saccade.pipelines.importing.lines import first_line, source_files
from saccade.pipelines.importing.tables import read_table

_TABS = Dialect("\t", False)
_TITLES = ("movie_title", "title", "item_name", "name")
_GENRES = ("class", "genre", "genres", "categories")


@dataclass(frozen=True, kw_only=True)
class RatedOptions(HistoryOptions):
    """What published data sets with ratings have.

    Attributes:
        positive: see its help.
    """

    positive: float | None = POSITIVE


def read_recbole(source: Path, options: RatedOptions, intake: Intake) -> Rows:
    """Histories from an .inter file, or from the one in a folder."""
    file = _inter(source)
    columns = {name.partition(":")[0]: name for name in first_line(file)[1].split("\t")}
    if missing := [name for name in ("user_id", "item_id") if name not in columns]:
        raise UserError(f"{file}: has no column {missing[0]}:token, only {', '.join(columns.values())[:500]}")
    if options.positive is not None and "rating" not in columns:
        raise UserError(f"{file}: has no column rating:float, which --positive needs")
    fields = Fields(columns["user_id"], columns["item_id"], columns.get("timestamp"), columns.get("rating"))
    chunks = read_table([file], _TABS, fields.names, intake, True)
    found = read_interactions(chunks, fields, "auto", intake)
    items = file.with_suffix(".item")
    details = _details(items, intake) if items.is_file() else None
    return histories(found, options, intake, positive=options.positive, details=details)


def _inter(source: Path) -> Path:
    if not source.is_dir():
        (file,) = source_files(source)[:1]
        return file
    found = sorted(source.glob("*.inter"))
    if len(found) != 1:
        has = ", ".join(path.name for path in found) if found else "none"
        raise UserError(f"{source}: should have one .inter file, but has {has}: name the file itself")
    return found[0]


def _details(file: Path, intake: Intake) -> Details | None:
    """What the .item file has of titles and genres; none if it has neither."""
    names = first_line(file)[1].split("\t")
    plain = [name.partition(":")[0] for name in names]
    title = next((plain.index(name) for name in _TITLES if name in plain), None)
    genres = next((plain.index(name) for name in _GENRES if name in plain), None)
    if "item_id" not in plain or (title is None and genres is None):
        return None
    return Details(
        file,
        intake,
        split=lambda line: line.split("\t"),
        width=len(names),
        item=plain.index("item_id"),
        title=title,
        genres=None if genres is None else lambda row: row[genres].split(),
        header=True,
    )


RECBOLE = Format(
    "RecBole's atomic files: NAME.inter, and titles and genres from NAME.item where it is there.",
    RatedOptions,
    read_recbole,
    COLUMNS,
    ("recbole ml-100k/ml-100k.inter data/ml-100k", "recbole amazon-books data/books --min-user 5 --min-item 5"),
    JOB,
)
