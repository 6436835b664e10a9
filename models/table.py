"""The description of an embedding table, which an engine builds and shards."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """An embedding table of a model; its rows are looked up by one or more features.

    Attributes:
        name: unique among the model's tables.
        rows: number of ids; valid ids are 0 .. rows - 1.
        dim: width of a row.
        features: names of the id streams looked up in this table (``Batch.lookups`` carries their ids).
        standard_deviation: of the normal distribution that initialises it.
    """

    name: str
    rows: int
    dim: int
    features: tuple[str, ...]
    standard_deviation: float = 0.02
