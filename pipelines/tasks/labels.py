"""The classes of a label column, found in the data."""

from __future__ import annotations

import json
from collections.abc import Mapping

from saccade.pipelines.errors import UserError
from saccade.pipelines.parquet.source import Source
from saccade.pipelines.parquet.statistics import first_outside, integer_range

LABEL_NAMES = "label_names"
"""The key of the schema's metadata that has the classes' names, a JSON list."""


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
    names = label_names(source.schema_metadata, source.files[0])
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


def label_names(metadata: Mapping[str, str], file: str) -> tuple[str, ...]:
    """The names of the classes in a file's schema metadata; none where it has no ``label_names``.

    Raises:
        UserError: they are no JSON list of names.
    """
    text = metadata.get(LABEL_NAMES)
    if text is None:
        return ()
    try:
        names = json.loads(text)
    except ValueError:
        names = None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UserError(f"{file}: label_names in the schema metadata is no JSON list of names: {text[:60]!r}")
    return tuple(names)
