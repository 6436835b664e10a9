"""The part of an embedding table that one rank holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, eq=False)
class TableShard:
    """A rectangle of a table, and the optimizer's state for it.

    Attributes:
        table: the table's name.
        rows, columns: the (first, one past last) rows and columns that it covers.
        weight: [rows, columns] on the engine's device; the live storage, to be read or written in place.
        optimizer: state name -> live tensor: [rows, columns] (element-wise state) or [rows] (row-wise state).
    """

    table: str
    rows: tuple[int, int]
    columns: tuple[int, int]
    weight: Tensor
    optimizer: Mapping[str, Tensor]
