"""Which of the columns that are needed a file has, and of which types."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa

from saccade.pipelines.errors import UserError
from saccade.pipelines.parquet.schema import Column, check, find_field
from saccade.pipelines.parquet.selection import Selection
from saccade.pipelines.parquet.validate.fault import FaultsOfFile
from saccade.pipelines.parquet.validate.need import Need


def check_columns(need: Need, found: pa.Schema, faults: FaultsOfFile) -> Selection:
    """Note every column that is missing, is there twice or has another type.

    Returns:
        What can be read all the same.
    """
    wanted = need.selection
    conditions, columns, prepare, prepared = [], [], None, found
    twice = {name for name in wanted.stored(found) if len(found.get_all_field_indices(name)) > 1}
    for name in sorted({*need.present, *twice}):
        with _noting(faults, "column"):
            find_field(name, found, faults.file)
    if twice:
        return Selection(())  # by name, nothing can be read
    for condition in wanted.filter:
        with _noting(faults, "filter"):
            condition.check(found, faults.file)
            conditions.append(condition)
    with _noting(faults, "transform"):
        prepared = wanted.prepared(found)
        prepare = wanted.prepare
    for column in wanted.columns:
        if wanted.made(column.name) and prepare is None:
            continue  # what it is made from has been named
        with _noting(faults, "column"):
            check([column], prepared, faults.file)
            columns.append(column)
    return Selection(tuple(columns), tuple(conditions), prepare)


def compare(
    need: Need, columns: tuple[Column, ...], found: pa.Schema, first: pa.Schema, first_name: str, faults: FaultsOfFile
) -> None:
    """Note what can be read but is not what it is in the first file."""
    for column in columns:
        types = [_type(column.name, schema) for schema in (found, first)]
        if None not in types and types[0] != types[1]:
            text = f"column {column.name!r} has type {types[0]}, but {types[1]} in {first_name}"
            faults.add("drift", text, "both can be read, but write all files alike", warning=True)
    for key in need.alike:
        values = [(schema.metadata or {}).get(key.encode()) for schema in (found, first)]
        if values[0] != values[1]:
            text = f"{key} in the schema's metadata isn't what it is in {first_name}, which counts"
            faults.add("drift", text, "give all files the same", warning=True)


@contextmanager
def _noting(faults: FaultsOfFile, kind: str) -> Iterator[None]:
    try:
        yield
    except UserError as error:
        faults.add(kind, str(error).removeprefix(f"{faults.file}: "))


def _type(column: str, schema: pa.Schema) -> pa.DataType | None:
    """None for a column that is missing, there twice, or made."""
    return schema.field(column).type if len(schema.get_all_field_indices(column)) == 1 else None
