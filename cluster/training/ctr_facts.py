"""What is counted from the data of a click-prediction job, and whether its splits fit that."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from torch import Tensor

from saccade.cluster.job import CtrJob
from saccade.cluster.training.sources import has_split, open_source
from saccade.pipelines.errors import UserError
from saccade.pipelines.parquet.schema import Column
from saccade.pipelines.parquet.source import Source
from saccade.pipelines.parquet.statistics import first_outside, integer_range
from saccade.pipelines.task import Split
from saccade.pipelines.tasks.ctr import COLUMN_KINDS
from saccade.pipelines.transforms.chain import Chain


def ctr_facts(job: CtrJob, transforms: Chain) -> dict[str, Any]:
    """``rows``: of every table.

    Raises:
        UserError: an id is negative or outside of a table whose rows the job sets, or a label isn't 0 or 1.
    """
    _check_vocabularies(job, transforms)
    opened = partial(_one_column, job, "train", transforms)
    rows: dict[str, int] = {}
    for table, columns in id_columns(job).items():
        given = job.table(table).rows
        if given != "auto":
            rows[table] = given
            continue
        known = [transforms.ids(column) for column in columns]
        for column, ids in zip(columns, known, strict=True):
            _check_ids(opened, column, table, 1 << 62, ids)  # no negative ones
        counted = [ids or integer_range(opened(c), c)[1] + 1 for c, ids in zip(columns, known, strict=True)]
        rows[table] = max(counted)
    facts = {"rows": {table: max(count, 2) for table, count in rows.items()}}
    splits: tuple[Split, ...] = ("train", "valid", "test")
    for split in splits:
        if has_split(job, split):
            check_ctr_split(job, split, facts, transforms)
    return facts


def check_ctr_split(job: CtrJob, split: Split, facts: Mapping[str, Any], transforms: Chain) -> None:
    """Check that a split's ids have rows in their tables, and its labels are 0 or 1.

    Raises:
        UserError: they don't; names the first such row.
    """
    check_ctr_ids(job, partial(_one_column, job, split, transforms), facts, transforms)
    for label in job.data.labels:
        source = open_source(job, split, [Column(label, "integer")], transforms)
        row = first_outside(source, label, 0, 1)
        if row is not None:
            value = int(_values(source, row, label)[0])
            raise UserError(
                f"{source.where(row)}: column {label!r} has the label {value}: labels of ctr are 0 or 1; make it so, "
                "with data.transforms (bucketise), say"
            )


def _one_column(job: CtrJob, split: Split, transforms: Chain, column: str) -> Source:
    """A column by itself: where the footers don't tell its range, nothing else is decoded for it."""
    (found,) = (each for each in ctr_columns(job) if each.name == column)
    return open_source(job, split, [found], transforms)


def check_ctr_ids(job: CtrJob, opened: Callable[[str], Source], facts: Mapping[str, Any], transforms: Chain) -> None:
    """Check that all ids of some rows, of which ``opened`` gives a column, have rows in their tables.

    Raises:
        UserError: one hasn't; names the first row that holds it.
    """
    for table, columns in id_columns(job).items():
        for column in columns:
            _check_ids(opened, column, table, facts["rows"][table], transforms.ids(column))


def _check_ids(opened: Callable[[str], Source], column: str, table: str, rows: int, known: int | None) -> None:
    """Check that a column's ids are 0 .. rows - 1, unless the transform that makes them leaves no doubt."""
    if known is not None and known <= rows:
        return
    source = opened(column)
    row = first_outside(source, column, 0, rows - 1)
    if row is None:
        return
    values = _values(source, row, column)
    value = int(values[(values < 0) | (values >= rows)][0])
    if value < 0:
        raise UserError(f"{source.where(row)}: column {column!r} has id {value}: ids count from 0")
    raise UserError(
        f"{source.where(row)}: column {column!r} has id {value}, but table {table!r} has {rows} rows (ids "
        f"0..{rows - 1}): let data.transforms look ids up (lookup, hash), which gives unknown ones an id too, or raise "
        f"table.rows of {table!r} in data"
    )


def _values(source: Source, row: int, column: str) -> Tensor:
    cell = source.read(row, row + 1).columns[column]
    return cell if isinstance(cell, Tensor) else cell.values


def id_columns(job: CtrJob) -> dict[str, list[str]]:
    """The columns with ids of each table."""
    tables = {feature.column: [feature.column] for feature in job.data.features if feature.type != "number"}
    for event in job.data.history.events if job.data.history else ():
        tables.setdefault(event.target or event.column, []).append(event.column)
    return tables


def ctr_columns(job: CtrJob) -> list[Column]:
    """The features and labels, as the task reads them."""
    columns = [Column(f.column, COLUMN_KINDS[f.type], 0) for f in job.data.features]
    columns += [Column(event.column, "integers", 0) for event in (job.data.history.events if job.data.history else ())]
    return columns + [Column(label, "integer") for label in job.data.labels]


def _check_vocabularies(job: CtrJob, transforms: Chain) -> None:
    """Columns that share a table must have been numbered alike."""
    for table, columns in id_columns(job).items():
        first, *others = [transforms.vocabulary(column) for column in columns]
        for column, other in zip(columns[1:], others, strict=True):
            both = first is not None and other is not None
            if first is other or (both and first[1] == other[1] and first[0].values.equals(other[0].values)):  # type: ignore[index]
                continue
            raise UserError(
                f"data.transforms: {table!r} and {column!r} share a table, but are numbered by different vocabularies: "
                f"make one for both with `saccade data index PATH DST --column {table}=ids --column {column}=ids`, or "
                "look both up in the same file"
            )
