"""The columns that run beside a history, moments and side features: counted and checked before anything starts."""

from __future__ import annotations

from typing import Any

from saccade.cluster.job import NextItemJob
from saccade.models.jagged import Jagged
from saccade.pipelines.errors import UserError
from saccade.pipelines.parquet.schema import Column
from saccade.pipelines.parquet.source import Source
from saccade.pipelines.parquet.statistics import first_outside, integer_range
from saccade.pipelines.tasks.features import Feature
from saccade.pipelines.transforms.chain import Chain


def beside(job: NextItemJob) -> list[Column]:
    """The history's column and those beside it."""
    times = [Column(job.data.times, "integers")] if job.data.times else []
    features = [Feature(each.column, each.kind).needs for each in job.data.features]
    return [Column(job.data.history, "integers"), *times, *features]


def count_features(job: NextItemJob, source: Source, transforms: Chain) -> dict[str, Any]:
    """The fact ``features``, the rows of each one's table by its column; nothing where there are none."""
    found = {}
    for each in job.data.features:
        if each.kind == "number":
            continue
        rows = transforms.ids(each.column) if each.rows == "auto" else each.rows
        found[each.column] = rows or max(integer_range(source, each.column)[1] + 1, 1)
    return {"features": found} if found else {}


def check_beside(job: NextItemJob, source: Source, facts: dict[str, Any], transforms: Chain) -> None:
    """Check that all of these columns are as long as the history in every row, and ids inside their tables.

    Reads all rows.

    Raises:
        UserError: one isn't; names the file and the row.
    """
    for column, rows in facts.get("features", {}).items():
        known = transforms.ids(column)
        row = None if known is not None and known <= rows else first_outside(source, column, 0, rows - 1)
        if row is not None:
            raise UserError(
                f"{source.where(row)}: column {column!r} has an id outside 0..{rows - 1}, the rows of its table: ids "
                "count from 0; raise its rows in data.features or set them to auto"
            )
    names = [c.name if c.kind != "integer_lists" else f"{c.name}.lengths" for c in source.columns[1:]]
    for group in source.row_groups:
        examples = source.read(group.first_row, group.first_row + group.rows)
        history = examples.columns[job.data.history]
        assert isinstance(history, Jagged)
        for name in names:
            column = examples.columns[name]
            assert isinstance(column, Jagged)
            different = (column.layout.lengths != history.layout.lengths).nonzero()
            if different.numel():
                place = int(different[0])
                raise UserError(
                    f"{source.where(int(examples.rows[place]))}: column {name.removesuffix('.lengths')!r} has "
                    f"{int(column.layout.lengths[place])} values, but the history in {job.data.history!r} has "
                    f"{int(history.layout.lengths[place])} items: give each item one"
                )
