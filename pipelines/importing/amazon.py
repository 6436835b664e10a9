"""Amazon reviews, as published in 2014, 2018 and 2023: JSON lines of reviews, or tables of ratings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from saccade.pipelines.errors import UserError
from saccade.pipelines.importing.chunk import Chunk
from saccade.pipelines.importing.delimited import Dialect
from saccade.pipelines.importing.format import Format, Rows
from saccade.pipelines.importing.histories import COLUMNS, JOB, histories
from saccade.pipelines.importing.intake import Intake
from saccade.pipelines.importing.interactions import Fields, read_interactions
from saccade.pipelines.importing.json_lines import first_object, read_objects
from saccade.pipelines.importing.lines import first_line, source_files
from saccade.pipelines.importing.recbole import RatedOptions
from saccade.pipelines.importing.tables import read_table

_EDITIONS = (
    Fields("reviewerID", "asin", "unixReviewTime", "overall"),  # 2014 and 2018
    Fields("user_id", "parent_asin", "timestamp", "rating"),  # 2023
)
_COMMAS = Dialect(",", True)
_ITEM = re.compile(r"(B[0-9A-Z]{9}|[0-9]{9}[0-9X])$")
_USER = re.compile(r"A[0-9A-Z]{8,}$")


def read_amazon(source: Path, options: RatedOptions, intake: Intake) -> Rows:
    """Histories from reviews or ratings."""
    files = source_files(source)
    _, line = first_line(files[0])
    chunks, fields = _reviews(files, intake) if line.startswith(("{", "[")) else _ratings(files, line, intake)
    found = read_interactions(chunks, fields, "auto", intake)
    return histories(found, options, intake, positive=options.positive)


def _reviews(files: list[Path], intake: Intake) -> tuple[Iterator[Chunk], Fields]:
    keys = first_object(files[0])
    for fields in _EDITIONS:
        if all(name in keys for name in fields.names):
            return read_objects(files, fields, intake), fields
    known = " or ".join(", ".join(fields.names) for fields in _EDITIONS)
    raise UserError(f"{files[0]}: is no Amazon review, which has {known}; this one has {', '.join(keys)[:500]}")


def _ratings(files: list[Path], line: str, intake: Intake) -> tuple[Iterator[Chunk], Fields]:
    """2014 puts the user first, 2018 the item, both without names of columns; 2023 has names."""
    names = line.split(",")
    recent = _EDITIONS[1]
    if all(name in names for name in recent.names):
        return read_table(files, _COMMAS, recent.names, intake, True), recent
    fields = Fields("user", "item", "time", "rating")
    if len(names) == 4:
        if _USER.match(names[0]) and _ITEM.match(names[1]):
            return read_table(files, _COMMAS, fields.names, intake, ("user", "item", "rating", "time")), fields
        if _ITEM.match(names[0]) and _USER.match(names[1]):
            return read_table(files, _COMMAS, fields.names, intake, ("item", "user", "rating", "time")), fields
    raise UserError(
        f"{files[0]}: its first line is neither user,item,rating,time (2014), nor item,user,rating,time (2018), nor "
        f"names of columns (2023), but {line[:100]!r}; `saccade data import csv` reads other tables"
    )


AMAZON = Format(
    "Amazon reviews of 2014, 2018 and 2023: JSON lines of reviews, or csv of ratings.",
    RatedOptions,
    read_amazon,
    COLUMNS,
    (
        "amazon reviews_Beauty_5.json.gz data/beauty --min-user 5 --min-item 5",
        "amazon 'ratings_*.csv' data/amazon --positive 4",
    ),
    JOB,
)
