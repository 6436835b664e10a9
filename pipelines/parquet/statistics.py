"""What range a column's integers have, from the footers' statistics where they are there."""

from __future__ import annotations

import pyarrow.parquet as pq
from pyarrow import types
from torch import Tensor

from saccade.models.jagged import Jagged
from saccade.pipelines.errors import UserError
from saccade.pipelines.parquet.footer import leaf_columns, statistics
from saccade.pipelines.parquet.row_group import RowGroup
from saccade.pipelines.parquet.schema import is_list
from saccade.pipelines.parquet.selection import Selection
from saccade.pipelines.parquet.source import Source


def integer_range(source: Source, column: str) -> tuple[int, int]:
    """The smallest and largest value of an ``integer`` or ``integers`` column; (0, -1) if it holds none at all.

    Decodes only the row groups without statistics.

    Raises:
        UserError: such a row group is damaged or has nulls.
    """
    ranges = [_range(source, column, group) for group in source.row_groups]
    found = [low_high for low_high in ranges if low_high is not None]
    return (min(low for low, _ in found), max(high for _, high in found)) if found else (0, -1)


def first_outside(source: Source, column: str, low: int, high: int) -> int | None:
    """The global number of the first row with a value outside [low, high], or None.

    Decodes only row groups whose statistics are missing or outside.

    Raises:
        UserError: such a row group is damaged or has nulls.
    """
    for group in source.row_groups:
        found = _range(source, column, group)
        if found is None or (low <= found[0] and found[1] <= high):
            continue
        values, rows = _values(source, column, group)
        outside = ((values < low) | (values > high)).nonzero()
        if outside.numel():  # statistics may be wider than the values
            return int(rows[outside[0]])
    return None


def check_ids(source: Source, column: str, rows: int, table: str = "items") -> None:
    """Check that a column's ids all lie in a table of ``rows`` rows.

    Raises:
        UserError: one doesn't; names the first row that holds it.
    """
    row = first_outside(source, column, 0, rows - 1)
    if row is None:
        return
    cell = source.read(row, row + 1).columns[column]
    values = cell if isinstance(cell, Tensor) else cell.values
    value = int(values[(values < 0) | (values >= rows)][0])
    mend = "ids must count from 0" if value < 0 else f"raise tables.{table}.rows or set it to auto"
    raise UserError(
        f"{source.where(row)}: column {column!r} has item id {value}, but table {table!r} has {rows} rows "
        f"(ids 0..{rows - 1}): {mend}"
    )


def stored_range(
    selection: Selection, column: str, metadata: pq.FileMetaData, row_group: int
) -> tuple[int, int] | None:
    """The smallest and largest integer that is read of a column, by the footer alone; None where it can't tell."""
    if not _has_statistics(selection, column, metadata):
        return None
    (leaf,) = leaf_columns(metadata, column)
    found = statistics(metadata, row_group, leaf)
    if found is None or not found.has_min_max:
        return None
    # What nulls become counts whether there are any or not: a range may be wider than the values.
    filled = [int(each.null) for each in selection.columns if each.name == column and each.null is not None]
    return min([int(found.min), *filled]), max([int(found.max), *filled])


def _range(source: Source, column: str, group: RowGroup) -> tuple[int, int] | None:
    """The range in one row group; None where it holds no value."""
    found = stored_range(source.selection, column, source.footers[group.file].metadata, group.index)
    if found is not None:
        return found
    values, _ = _values(source, column, group)
    return (int(values.min()), int(values.max())) if values.numel() else None


def _has_statistics(selection: Selection, column: str, metadata: pq.FileMetaData) -> bool:
    """Whether the footer's statistics are of the very values that are read."""
    if selection.filter or selection.made(column):
        return False
    found = metadata.schema.to_arrow_schema().field(column).type
    while is_list(found):
        found = found.value_type
    return bool(types.is_integer(found) or types.is_boolean(found))  # moments are read as microseconds


def _values(source: Source, column: str, group: RowGroup) -> tuple[Tensor, Tensor]:
    """All values of a row group, and the global number of the row of each."""
    examples = source.read(group.first_row, group.first_row + group.rows)
    cells = examples.columns[column]
    if isinstance(cells, Jagged):
        return cells.values, examples.rows[cells.layout.example]
    assert isinstance(cells, Tensor)
    return cells, examples.rows
