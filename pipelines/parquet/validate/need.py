"""What the files of a split are held to."""

from __future__ import annotations

from dataclasses import dataclass

from saccade.pipelines.parquet.schema import Column
from saccade.pipelines.parquet.selection import Selection
from saccade.pipelines.parquet.validate.rules import Rule


@dataclass(frozen=True)
class Need:
    """What the files of a split are held to.

    Attributes:
        split: its name.
        selection: which columns and rows of the files are read, and what is made of them.
        rules: what the columns' values must be like.
        present: columns that files must have besides, of whatever type.
        optional: a column that is read as well where all files have it.
        alike: keys of the schema's metadata that should say the same in all files.
        row_groups: how many the split should have at least.
    """

    split: str
    selection: Selection
    rules: tuple[Rule, ...] = ()
    present: tuple[str, ...] = ()
    optional: Column | None = None
    alike: tuple[str, ...] = ()
    row_groups: int = 0
