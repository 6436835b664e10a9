"""The classes of a label column, found in the data."""

from __future__ import annotations

import json

from saccade.pipelines.errors import UserError
from saccade.pipelines.parquet.source import Source
from saccade.pipelines.parquet.statistics import first_outside, integer_range


def find_labels(source: Source, column: str) -> tuple[str, ...]:
    """The classes' names; class i is number i, and their count is the number of classes.

    The names are the file's own (``label_names`` in the schema metadata, a JSON list), else the numbers.

    Args:
        source: has the integer column; the training rows.
        column: its name.

    Raises:
        UserError: a label is negative or has no name, there is but one class, or ``label_names`` is no list of names.
    """
    low, high = integer_range(source, column)
    if low < 0:
        raise UserError(f"{_where(source, column, 0, high)}: column {column!r} has label {low}: labels count from 0")
    names = _names(source)
    if names and high >= len(names):
        where = _where(source, column, 0, len(names) - 1)
        raise UserError(
            f"{where}: column {column!r} has a label beyond the {len(names)} of label_names (highest {high}): "
            "mend the label or the schema's label_names"
        )
    if low == high and len(names) < 2:
        raise UserError(f"{source.files[0]}: every label in column {column!r} is {low}: nothing to tell apart")
    return names or tuple(map(str, range(high + 1)))


def check_labels(source: Source, column: str, labels: tuple[str, ...]) -> None:
    """Check that a split has no class that training doesn't know.

    Raises:
        UserError: it has; names the first such row.
    """
    row = first_outside(source, column, 0, len(labels) - 1)
    if row is None:
        return
    value = int(source.read(row, row + 1).columns[column])  # type: ignore[arg-type]
    raise UserError(
        f"{source.where(row)}: column {column!r} has label {value}, but training knows labels 0..{len(labels) - 1}"
    )


def _where(source: Source, column: str, low: int, high: int) -> str:
    row = first_outside(source, column, low, high)
    return source.files[0] if row is None else source.where(row)


def _names(source: Source) -> tuple[str, ...]:
    text = source.schema_metadata.get("label_names")
    if text is None:
        return ()
    try:
        names = json.loads(text)
    except ValueError:
        names = None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UserError(
            f"{source.files[0]}: label_names in the schema metadata is no JSON list of names: {text[:60]!r}"
        )
    return tuple(names)
