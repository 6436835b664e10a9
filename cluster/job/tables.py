"""The section ``tables``: embedding tables and the optimizers that are fused into them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from saccade.cluster.job.engine import Sharding
from saccade.cluster.job.optimizer import Beta
from saccade.cluster.job.section import Section


class TableOptimizer(Section):
    """How a table learns; only the rows that were looked up change."""

    name: Literal["sgd", "adagrad", "rowwise_adagrad", "adam", "partial_rowwise_adam"] = "adagrad"
    """The rule; rowwise_adagrad and partial_rowwise_adam keep one square a row instead of one an element."""

    learning_rate: float = Field(default=0.05, gt=0)
    """Its rate at the schedule's peak; optimizer.schedule scales it like the network's."""

    eps: float = Field(default=1e-8, gt=0)
    """Added to the root of the squares (all but sgd)."""

    betas: tuple[Beta, Beta] = (0.9, 0.999)
    """Decay of the running mean and of the running square (adam and partial_rowwise_adam)."""

    weight_decay: float = Field(default=0.0, ge=0)
    """Pull of the rows that were looked up to zero, decoupled from the gradient."""


class Table(Section):
    """One embedding table."""

    rows: Literal["auto"] | Annotated[int, Field(ge=1)] = "auto"
    """Number of ids, 0 .. rows - 1; auto: counted from the data."""

    grow: bool = False
    """Accept a checkpoint with fewer rows: its rows are kept, the others begin anew."""

    sharding: Sharding | None = None
    """How this table is split among workers; without it, as engine.sharding says."""

    standard_deviation: float = Field(default=0.02, gt=0)
    """Of the normal distribution that initialises it."""

    optimizer: TableOptimizer = TableOptimizer()
    """How the table learns."""


class FeatureTables(Section):
    """The embedding tables of data.features, all alike."""

    sharding: Sharding | None = None
    """How they are split among workers; without it, as engine.sharding says."""

    standard_deviation: float = Field(default=0.02, gt=0)
    """Of the normal distribution that initialises them."""

    optimizer: TableOptimizer = TableOptimizer()
    """How they learn."""


class NextItemTables(Section):
    """The tables of next_item."""

    items: Table = Table()
    """The items: looked up for histories, and scored against."""

    features: FeatureTables = FeatureTables()
    """The tables of data.features."""


class TextTables(Section):
    """The tables of text_classification."""

    tokens: Table = Table()
    """The tokenizer's tokens."""


class NoTables(Section):
    """A task without tables."""
