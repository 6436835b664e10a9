"""A trained model over the rows of a source, window by window, so that memory doesn't grow with the rows.

The reader gives a window's rows by length, and one window after the other: when a window is through, its answers are
put back in order and handed on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

import pyarrow as pa
import torch
from torch import Tensor

from saccade.pipelines.batch import Batch
from saccade.pipelines.errors import UserError
from saccade.pipelines.inference.answering import Answering
from saccade.pipelines.inference.answers import Answers, answer_columns
from saccade.pipelines.order.reader import LanePosition, Reader
from saccade.pipelines.parquet.batches import record_batches
from saccade.pipelines.parquet.selection import Selection
from saccade.pipelines.parquet.source import Source
from saccade.pipelines.seeds import generator
from saccade.pipelines.transforms.arrays import canonical

ROW = "row"
"""The column with each row's number in the source."""


@dataclass(frozen=True, eq=False)
class Application:
    """A model, rows, and what is asked of it.

    Attributes:
        weights: of the model.
        source: the rows, all that there are.
        answer: an output, and the batch that it is of, as columns of [N] or [N, K].
        names: what ids in the column ``items`` stand for.
        beside: a column of the files that goes beside the answers, or None; see ``can_go_beside``.
        window: rows that are read, and answered, together.
        tokens: the budget of a micro-batch.
    """

    weights: Answering
    source: Source
    answer: Callable[[Tensor, Batch], Mapping[str, Tensor]]
    names: Callable[[pa.Array], pa.Array]
    beside: str | None
    window: int
    tokens: int

    @property
    def windows(self) -> int:
        """How many there are."""
        return -(-self.source.rows // self.window)

    def batches(self, first: int, last: int, advance: Callable[[int], object]) -> Iterator[pa.RecordBatch]:
        """The answers to the rows of windows [first, last), in the rows' order; rows without any are left out.

        Args:
            first: window.
            last: one past the last window.
            advance: told how many rows have been used up.

        Returns:
            Batches of ``row``, the column beside, and the answers; at least one, which may be empty.
        """
        task, end = self.weights.task, min(last * self.window, self.source.rows)
        reader = Reader(
            self.source,
            task,
            "predict",
            seed=0,
            lanes=1,
            window=self.window,
            tokens=self.tokens,
            rank=0,
            world_size=1,
        )
        beside = Beside(self.source, self.beside, first * self.window, end) if self.beside else None
        found: list[Answers] = []
        empty = True
        with closing(reader.steps(0, {0: LanePosition(first)})) as steps:
            for item in steps:
                (batch,) = item.batches
                if not len(batch.rows) or int(batch.rows[0]) >= end:
                    break
                found.append(self._answers(batch))
                advance(item.rows)
                if item.after[0].micro_batch == 0:
                    yield self._ordered(found, beside)
                    found, empty = [], False
        if empty:
            nothing = task.encode(self.source.cursor().read(0, 0), "predict")
            yield self._ordered([self._answers(task.collate(nothing, "predict", generator(0)))], beside)

    @torch.inference_mode()
    def _answers(self, batch: Batch) -> Answers:
        answers = self.answer(self.weights(batch), batch)
        return batch.rows, {name: values.cpu() for name, values in answers.items()}

    def _ordered(self, found: Sequence[Answers], beside: Beside | None) -> pa.RecordBatch:
        rows = torch.cat([numbers for numbers, _ in found]).sort().values
        columns = {ROW: pa.array(rows.numpy())}
        if beside is not None:
            columns[beside.column] = beside.take(rows)
        columns |= answer_columns(found, self.names)
        return pa.RecordBatch.from_arrays(list(columns.values()), list(columns))


def can_go_beside(source: Source, column: str) -> bool:
    """Whether all files have the column, with integers or strings in it, and in all of them the same of the two."""
    sorts = set()
    for footer in source.footers:
        try:
            sorts.add(canonical(pa.array([], footer.metadata.schema.to_arrow_schema().field(column).type)).type)
        except (KeyError, UserError, pa.ArrowException):
            return False
    return len(sorts) == 1


class Beside:
    """A column of a source's files, read along with its rows."""

    def __init__(self, source: Source, column: str, first: int, last: int) -> None:
        """The values of ``column`` in rows [first, last)."""
        groups = tuple(g for g in source.row_groups if g.first_row < last and g.first_row + g.rows > first)
        stored = replace(source, selection=Selection(()), row_groups=groups)
        self.column = column
        self._batches = record_batches(stored, [column])
        self._held = canonical(pa.array([], source.footers[0].metadata.schema.to_arrow_schema().field(column).type))
        self._first = groups[0].first_row if groups else 0

    def take(self, rows: Tensor) -> pa.Array:
        """The values of rising row numbers ([N] int64), after all of those that were taken before."""
        if not len(rows):
            return self._held[:0]
        held = [self._held.slice(max(int(rows[0]) - self._first, 0))]
        self._first = max(self._first, min(int(rows[0]), self._first + len(self._held)))
        end = self._first + len(held[0])
        while end <= int(rows[-1]):
            held.append(canonical(next(self._batches).column(self.column)))
            end += len(held[-1])
        self._held = pa.concat_arrays(held)
        return self._held.take(pa.array((rows - self._first).numpy()))
