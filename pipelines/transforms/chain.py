"""The transforms of a job, one after the other."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import pyarrow as pa

from saccade.pipelines.errors import UserError
from saccade.pipelines.transforms.last import Last
from saccade.pipelines.transforms.lookup import Lookup
from saccade.pipelines.transforms.take import Take
from saccade.pipelines.transforms.transform import Transform
from saccade.pipelines.vocabulary import Vocabulary


@dataclass(frozen=True)
class Step:
    """A transform in its place.

    Attributes:
        name: what messages call it.
        transform: what it does.
    """

    name: str
    transform: Transform


@dataclass(frozen=True)
class Chain:
    """Makes a batch's columns; later transforms read what earlier ones made. It is a ``Preparation``.

    Attributes:
        steps: in order.
    """

    steps: tuple[Step, ...]

    @property
    def reads(self) -> Collection[str]:
        """The columns of the files that it is made from."""
        made: set[str] = set()
        wanted: dict[str, None] = {}
        for step in self.steps:
            wanted.update(dict.fromkeys(name for name in step.transform.reads if name not in made))
            made.update(step.transform.writes)
        return tuple(wanted)

    @property
    def writes(self) -> Collection[str]:
        """The columns that it makes."""
        return tuple(dict.fromkeys(name for step in self.steps for name in step.transform.writes))

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The batch with the columns in it.

        Raises:
            UserError: a column is missing or of a type or value that can't be taken; names the transform and column.
        """
        columns = dict(zip(batch.schema.names, batch.columns, strict=True))
        for place, step in enumerate(self.steps):
            transform = step.transform
            for name in transform.reads:
                if name not in columns:
                    later = [other.name for other in self.steps[place:] if name in other.transform.writes]
                    hint = f": {later[0]} makes it, put that first" if later else nearest(name, columns)
                    raise UserError(f"{step.name}: no column {name!r}{hint}")
            try:
                made = transform(*(columns[name] for name in transform.reads))
            except UserError as error:
                raise UserError(f"{step.name}: {quoted(transform.reads)}: {error}") from None
            columns.update(zip(transform.writes, made, strict=True))
        return pa.RecordBatch.from_arrays(list(columns.values()), list(columns))

    def making(self, columns: Iterable[str]) -> Chain:
        """The part of it that these columns take: what nobody asks for isn't made, and its columns needn't be there."""
        wanted, kept = set(columns), list[Step]()
        for step in reversed(self.steps):
            if wanted.intersection(step.transform.writes):
                wanted.update(step.transform.reads)
                kept.append(step)
        return Chain(tuple(reversed(kept)))

    def ids(self, column: str) -> int | None:
        """How many ids (0 .. N - 1) a column may hold, as far as the transforms fix it, whatever the data."""
        origin = self._origin(column)
        return origin.ids if origin else None

    def vocabulary(self, column: str) -> tuple[Vocabulary, int] | None:
        """The vocabulary that a column's ids come from, and its first id."""
        origin = self._origin(column)
        return (origin.vocabulary, origin.first) if isinstance(origin, Lookup) else None

    def _origin(self, column: str) -> Transform | None:
        """What made a column's values; what only chooses among them is passed over."""
        for step in reversed(self.steps):
            transform = step.transform
            if column not in transform.writes or isinstance(transform, Last):
                continue
            if not isinstance(transform, Take):
                return transform
            column = transform.column
        return None


def nearest(name: str, names: Iterable[str]) -> str:
    """A hint at the nearest name, if there is one, and at all names otherwise."""
    names = list(names)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return f" (did you mean {near[0]!r}?)" if near else f"; there are {', '.join(names) or 'none'}"


def quoted(columns: Sequence[str]) -> str:
    """Column names as messages show them."""
    return f"column{'s' if len(columns) > 1 else ''} {', '.join(map(repr, columns))}"
