"""The section ``tables``: embedding tables and the optimizers that are fused into them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from saccade.cluster.job.section import Section


class TableOptimizer(Section):
    """How a table learns; only the rows that were looked up change."""

    name: Literal["sgd", "adagrad", "rowwise_adagrad"] = "adagrad"
    """The rule; rowwise_adagrad keeps one number a row instead of one an element."""

    learning_rate: float = Field(default=0.05, gt=0)
    """Its rate at the schedule's peak; optimizer.schedule scales it like the network's."""

    eps: float = Field(default=1e-8, gt=0)
    """Added to the root of the summed squares (adagrad and rowwise_adagrad)."""


class Table(Section):
    """One embedding table."""

    rows: Literal["auto"] | Annotated[int, Field(ge=1)] = "auto"
    """Number of ids, 0 .. rows - 1; auto: counted from the data."""

    standard_deviation: float = Field(default=0.02, gt=0)
    """Of the normal distribution that initialises it."""

    optimizer: TableOptimizer = TableOptimizer()
    """How the table learns."""


class NextItemTables(Section):
    """The tables of next_item."""

    items: Table = Table()
    """The items: looked up for histories, and scored against."""


class TextTables(Section):
    """The tables of text_classification."""

    tokens: Table = Table()
    """The tokenizer's tokens."""


class NoTables(Section):
    """A task without tables."""
