"""The lists ``data.filter`` and ``data.transforms``: which rows are read, and what is made of their columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from saccade.cluster.job.section import Section

Name = Annotated[str, Field(min_length=1)]
Scalar = bool | int | float | str


class Condition(Section):
    """A condition that a row must fulfil to be read; a null fulfils none."""

    column: Name
    """A column of the files with one value a row."""

    operator: Literal["==", "!=", "<", "<=", ">", ">=", "in", "not in"]
    """How it is compared."""

    value: Scalar | tuple[Scalar, ...]
    """With what: a number, text, true or false; a list of them for in and not in. Dates are text, as in 2024-01-31."""

    @model_validator(mode="after")
    def _list_where_one_is_needed(self) -> Condition:
        if isinstance(self.value, tuple) != self.operator.endswith("in"):
            needed = "a list of values" if self.operator.endswith("in") else "one value"
            message = "data.filter: {column} {operator} {value}: expected {needed}"
            value = list(self.value) if isinstance(self.value, tuple) else self.value
            given = {"column": self.column, "operator": self.operator, "value": repr(value), "needed": needed}
            raise PydanticCustomError("job", message, given)
        return self


class OneColumn(Section):
    """A transform of one column."""

    name: str
    """Which transform."""

    column: Name
    """What is read: a column of the files, or of an earlier transform."""

    to: Name | None = None
    """The column that is made; without it, `column` is replaced."""

    @property
    def reads(self) -> tuple[str, ...]:
        """The column."""
        return (self.column,)

    @property
    def writes(self) -> tuple[str, ...]:
        """The new one."""
        return (self.to or self.column,)


class Take(OneColumn):
    """A copy of a column under another name, or the first or last events of its lists."""

    name: Literal["take"]
    """Which transform."""

    first: int | None = Field(default=None, ge=1)
    """Only so many events from a list's beginning."""

    last: int | None = Field(default=None, ge=1)
    """Only so many events from a list's end."""

    @model_validator(mode="after")
    def _does_something(self) -> Take:
        if self.first is not None and self.last is not None:
            message = "data.transforms: take of {column} has both first and last: choose one"
            raise PydanticCustomError("job", message, {"column": self.column})
        if self.first is None and self.last is None and self.to in (None, self.column):
            message = "data.transforms: take of {column} does nothing: set first, last or to"
            raise PydanticCustomError("job", message, {"column": self.column})
        return self


class Last(Section):
    """The last events of several list columns that run side by side, each replaced."""

    name: Literal["last"]
    """Which transform."""

    columns: tuple[Name, ...] = Field(min_length=1)
    """List columns; in each row all are equally long."""

    events: int = Field(ge=1)
    """How many events are kept."""

    @property
    def reads(self) -> tuple[str, ...]:
        """The columns."""
        return self.columns

    @property
    def writes(self) -> tuple[str, ...]:
        """The same ones."""
        return self.columns


class Hash(OneColumn):
    """Strings or integers as ids 1 .. buckets, by a hash that is the same everywhere."""

    name: Literal["hash"]
    """Which transform."""

    buckets: int = Field(ge=1, le=10**9)
    """How many ids there are; of N values about N / (2 buckets) share theirs with another."""

    seed: int = Field(default=0, ge=0, lt=2**32)
    """Another seed, other collisions."""


class Lookup(OneColumn):
    """Strings or integers as ids 1, 2, 3, … of a vocabulary, the most frequent first."""

    name: Literal["lookup"]
    """Which transform."""

    file: Name | None = None
    """A vocabulary that `saccade data index` wrote; without it, one is made from the training rows."""

    min_count: int = Field(default=1, ge=1)
    """Rarer values are unknown (only where the vocabulary is made from the training rows)."""

    unknown: Literal["zero", "drop", "error"] = "zero"
    """What becomes of a value that the vocabulary doesn't have; drop leaves it out of its list."""

    first: Literal[0, 1] = 1
    """The first value's id; 0 for labels, which have none for unknown values."""

    @model_validator(mode="after")
    def _consistent(self) -> Lookup:
        if self.file is not None and self.min_count > 1:
            message = "data.transforms: lookup of {column} has min_count, but a file too, which decides: drop one"
            raise PydanticCustomError("job", message, {"column": self.column})
        if self.first == 0 and self.unknown == "zero":
            message = "data.transforms: lookup of {column} has first=0, so 0 is no unknown value: set unknown to error"
            raise PydanticCustomError("job", message, {"column": self.column})
        return self


class Join(OneColumn):
    """What a side table says of each key: one value a row, or one an event of a list."""

    name: Literal["join"]
    """Which transform."""

    file: Name
    """The side table: a Parquet file, folder, glob or address."""

    key: Name
    """Its column of keys, each there once."""

    value: Name
    """Its column of values."""

    missing: Literal["null", "error"] = "null"
    """What becomes of a key that it doesn't have."""


class Bucketise(OneColumn):
    """Numbers as the ids 1, 2, 3, … of ranges."""

    name: Literal["bucketise"]
    """Which transform."""

    boundaries: tuple[float, ...] | None = Field(default=None, min_length=1)
    """Where one range ends and the next one begins, rising."""

    quantiles: int | None = Field(default=None, ge=2)
    """Instead of boundaries: so many equally frequent ranges, found in the training rows."""

    @model_validator(mode="after")
    def _either(self) -> Bucketise:
        if (self.boundaries is None) == (self.quantiles is None):
            message = "data.transforms: bucketise of {column} needs either boundaries or quantiles"
            raise PydanticCustomError("job", message, {"column": self.column})
        if self.boundaries is not None and list(self.boundaries) != sorted(set(self.boundaries)):
            message = "data.transforms: bucketise of {column}: boundaries must rise, found {boundaries}"
            given = {"column": self.column, "boundaries": str(list(self.boundaries))}
            raise PydanticCustomError("job", message, given)
        return self


class Log(OneColumn):
    """sign(x) · ln(1 + abs(x))."""

    name: Literal["log"]
    """Which transform."""


class Standardise(OneColumn):
    """Numbers with the mean 0 and the standard deviation 1 over the training rows."""

    name: Literal["standardise"]
    """Which transform."""


class Fill(OneColumn):
    """A value in the place of nulls, also inside lists; a null list becomes an empty one."""

    name: Literal["fill"]
    """Which transform."""

    value: Scalar
    """What nulls become."""


class TimeDeltas(OneColumn):
    """How long after the event before it each event came, from a list of times; 0 for the first."""

    name: Literal["time_deltas"]
    """Which transform."""

    buckets: int | None = Field(default=None, ge=1, le=64)
    """Instead of differences d their magnitudes: bucket k of 1 .. buckets has 2^(k-1) <= 1 + d < 2^k, the last one all
    that are larger."""


Transform = Annotated[
    Take | Last | Hash | Lookup | Join | Bucketise | Log | Standardise | Fill | TimeDeltas, Field(discriminator="name")
]


def check_clashes(transforms: Sequence[Transform]) -> None:
    """Check that no transform makes again, unread, what an earlier one made.

    Raises:
        PydanticCustomError: one does.
    """
    made: dict[str, str] = {}
    for place, transform in enumerate(transforms):
        for column in transform.writes:
            if column in made and column not in transform.reads:
                message = "{name} makes column {column}, which {before} has made: give one of them another name in to"
                given = {"name": step_name(place, transform), "column": repr(column), "before": made[column]}
                raise PydanticCustomError("job", message, given)
            made[column] = step_name(place, transform)


def step_name(place: int, transform: Transform) -> str:
    """What messages call a transform of the list."""
    return f"data.transforms.{place} ({transform.name})"
