"""Fitting transforms: what they must know of the training rows before they can be applied."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from saccade.pipelines.errors import UserError
from saccade.pipelines.parquet.batches import record_batches
from saccade.pipelines.parquet.source import Source
from saccade.pipelines.transforms.chain import Chain, Step
from saccade.pipelines.transforms.transform import Accumulator, Transform


@dataclass(frozen=True)
class Unfitted:
    """A transform of one column that isn't known yet.

    Attributes:
        name: what messages call it.
        column: what it reads.
        to: what it will write.
        learns: makes what it learns from ``column`` with.
        build: makes the transform of what was learned.
    """

    name: str
    column: str
    to: str
    learns: Callable[[], Accumulator]
    build: Callable[[pa.Table], Transform]


@dataclass(frozen=True)
class _Tap:
    """Shows a column to an accumulator, at its place among the transforms."""

    column: str
    accumulator: Accumulator
    writes: tuple[str, ...] = ()
    ids: int | None = None

    @property
    def reads(self) -> tuple[str, ...]:
        return (self.column,)

    def __call__(self, *columns: pa.Array) -> tuple[pa.Array, ...]:
        self.accumulator.add(columns[0])
        return ()


def fit(steps: Sequence[Step | Unfitted], open_rows: Callable[[Chain], Source]) -> dict[int, pa.Table]:
    """Fit what isn't fitted.

    One pass over the rows fits all transforms whose columns don't depend on one another; each level of dependence takes
    a pass more.

    Args:
        steps: in order.
        open_rows: the training rows, prepared by a chain; no other columns are needed.

    Returns:
        What was learned, by place among the steps.

    Raises:
        UserError: a column is missing, has a type or value that a transform doesn't take, or nothing to learn from.
    """
    learned: dict[int, pa.Table] = {}
    while len(learned) < sum(isinstance(step, Unfitted) for step in steps):
        taps: dict[int, Accumulator] = {}
        source = open_rows(Chain(tuple(_this_pass(steps, learned, taps))))
        for _ in record_batches(source):
            pass
        for place, accumulator in taps.items():
            try:
                learned[place] = accumulator.result()
            except UserError as error:
                raise UserError(f"{steps[place].name}: {error}") from None
    return learned


def _this_pass(
    steps: Sequence[Step | Unfitted], learned: Mapping[int, pa.Table], taps: dict[int, Accumulator]
) -> Iterator[Step]:
    """The steps as far as they are known, with taps for those that can be learned now."""
    unknown: set[str] = set()
    for place, step in enumerate(steps):
        if isinstance(step, Unfitted):
            if step.column in unknown:
                unknown.add(step.to)
            elif place in learned:
                yield Step(step.name, step.build(learned[place]))
                unknown.discard(step.to)
            else:
                taps[place] = step.learns()
                yield Step(step.name, _Tap(step.column, taps[place]))
                unknown.add(step.to)
        elif unknown.intersection(step.transform.reads):
            unknown.update(step.transform.writes)
        else:
            yield step
            unknown.difference_update(step.transform.writes)
