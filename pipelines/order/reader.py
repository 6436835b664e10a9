"""A rank's micro-batches, step by step, from the lanes that are its own.

Rows become micro-batches in one background thread, a few steps ahead, so that a step seldom waits for data; another
one decodes each lane's next window meanwhile. Both mostly run compiled code, which holds no lock of the interpreter's.
More threads would make nothing faster: the cores belong to training.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import zip_longest
from typing import Protocol

import torch

from saccade.pipelines.batch import Batch
from saccade.pipelines.examples import Examples, concatenate
from saccade.pipelines.order.cut import cut
from saccade.pipelines.order.lanes import Lane, deal_lanes
from saccade.pipelines.order.one_thread import one_thread_of_openmp
from saccade.pipelines.seeds import derive_seed, generator
from saccade.pipelines.task import Split, Task


class RowRange(Protocol):
    """A row group: so many rows from a global row number on."""

    @property
    def first_row(self) -> int:
        """Its first row's number in the whole source."""

    @property
    def rows(self) -> int:
        """Its number of rows."""


class Fetched(Protocol):
    """Rows as they are stored."""

    def examples(self) -> Examples:
        """The rows as tensors; called once, in any thread."""


class Cursor(Protocol):
    """Reads one lane's rows, window by window."""

    def fetch(self, first: int, last: int) -> Fetched:
        """Read the global rows [first, last), and keep what the next call may go on from."""

    def expect(self, first: int) -> None:
        """Begin to ask for what a fetch from a row on will need, where that takes time; raises nothing."""


class Rows(Protocol):
    """What the reader needs of a source."""

    @property
    def row_groups(self) -> Sequence[RowRange]:
        """The units in which it decodes, in order."""

    def cursor(self) -> Cursor:
        """A fresh cursor."""


@dataclass(frozen=True)
class LanePosition:
    """Where a lane stands in its epoch: the next micro-batch that it will give."""

    window: int = 0
    micro_batch: int = 0


@dataclass(frozen=True)
class StepInput:
    """One step of this rank.

    Attributes:
        batches: a micro-batch for each of the rank's lanes, and an empty one where a lane has run dry and where other
            ranks have a lane more: equally many on every rank.
        rows: source rows that these windows have used up with this step, for progress.
        after: lane -> its position once this step is taken.
    """

    batches: Sequence[Batch]
    rows: int
    after: dict[int, LanePosition]


class Reader:
    """Deals a source's rows to lanes and reads those of one rank.

    Args:
        source: the rows.
        task: encodes windows and collates micro-batches.
        split: what the rows are for; ``train`` is shuffled, the others keep the source's order.
        seed: the run's.
        lanes: K, the micro-batches of a step.
        window: rows a lane shuffles at a time.
        tokens: the budget of a micro-batch.
        rank, world_size: rank r of W reads lanes r, r + W, …; it may have none.
        ahead: steps prepared in advance.
        fraction: of the rows, spread evenly over the source: with 0.5 every second one, and the same in every epoch.
    """

    def __init__(
        self,
        source: Rows,
        task: Task,
        split: Split,
        *,
        seed: int,
        lanes: int,
        window: int,
        tokens: int,
        rank: int,
        world_size: int,
        ahead: int = 2,
        fraction: float = 1.0,
    ) -> None:
        self.source, self.task, self.split = source, task, split
        self.seed, self.window, self.tokens, self.ahead = seed, window, tokens, ahead
        self.lanes, self.fraction = lanes, fraction
        self.mine = range(rank, lanes, world_size)
        self.batches = -(-lanes // world_size)

    @property
    def rows(self) -> int:
        """Rows of the source."""
        return sum(group.rows for group in self.source.row_groups)

    def steps(self, epoch: int, start: dict[int, LanePosition] | None = None) -> Generator[StepInput]:
        """The rank's steps of an epoch from a position on; after its lanes have run dry, empty steps without end."""
        with self._prepared(epoch, start or {}) as prepared:
            while True:
                item = prepared.get()
                if isinstance(item, BaseException):
                    raise item
                if item is None:
                    break
                yield item
        while True:
            yield StepInput([self._empty] * self.batches, 0, {})

    @contextmanager
    def _prepared(
        self, epoch: int, start: dict[int, LanePosition]
    ) -> Iterator[queue.Queue[StepInput | BaseException | None]]:
        ready: queue.Queue[StepInput | BaseException | None] = queue.Queue(maxsize=self.ahead)
        stop = threading.Event()

        def put(item: StepInput | BaseException | None) -> None:
            while not stop.is_set():
                try:
                    return ready.put(item, timeout=0.2)
                except queue.Full:
                    continue

        def work() -> None:
            decoding = ThreadPoolExecutor(1, f"decoder-{self.split}", one_thread_of_openmp)
            one_thread_of_openmp()
            try:
                for item in self._read(epoch, start, decoding):
                    put(item)
                    if stop.is_set():
                        return
                put(None)
            except BaseException as error:
                put(error)
            finally:
                decoding.shutdown(cancel_futures=True)

        thread = threading.Thread(target=work, name=f"reader-{self.split}", daemon=True)
        thread.start()
        try:
            yield ready
        finally:
            stop.set()
            thread.join()

    def _read(self, epoch: int, start: dict[int, LanePosition], decoding: Executor) -> Iterator[StepInput]:
        dealt = deal_lanes(
            [(group.first_row, group.first_row + group.rows) for group in self.source.row_groups],
            self.lanes,
            self.window,
            seed=self.seed,
            epoch=epoch,
            shuffle=self.split == "train",
        )
        streams = {k: self._lane(k, dealt[k], epoch, start.get(k, LanePosition()), decoding) for k in self.mine}
        while True:
            batches, after, rows, dry = [], {}, 0, 0
            for lane, stream in streams.items():
                item = next(stream, None)
                if item is None:
                    dry += 1
                    batches.append(self._empty)
                    after[lane] = LanePosition(dealt[lane].windows, 0)
                else:
                    batch, used, after[lane] = item
                    batches.append(batch)
                    rows += used
            if dry == len(streams):
                return
            batches += [self._empty] * (self.batches - len(batches))
            yield StepInput(batches, rows, after)

    def _lane(
        self, number: int, lane: Lane, epoch: int, start: LanePosition, decoding: Executor
    ) -> Iterator[tuple[Batch, int, LanePosition]]:
        shuffle = self.split == "train"
        cursor = self.source.cursor()
        passed = 0  # rows of windows of which the filter and encode left nothing
        ahead = decoding.submit(_fetch_window, cursor, lane, start.window)
        for window in range(start.window, lane.windows):
            # Queued before this one is there, so that the decoder goes from one to the other without a pause.
            following = decoding.submit(_fetch_window, cursor, lane, window + 1)
            fetched, ahead = ahead.result(), following
            read = sum(last - first for first, last in lane.rows(window))
            stored = concatenate([part.examples() for part in fetched])
            examples = self.task.encode(stored if self.fraction == 1.0 else self._chosen(stored), self.split)
            place = (self.seed, epoch, number, window)
            passed += 0 if len(examples) else read
            pieces = cut(examples.lengths, self.tokens, generator(*place, "window") if shuffle else None)
            # One gather a window, of which micro-batches are views.
            parts = examples.take(torch.cat(pieces)).split([len(piece) for piece in pieces]) if pieces else []
            skip = start.micro_batch if window == start.window else 0
            for index in range(skip, len(pieces)):
                seed = derive_seed(*place, index)
                batch = self.task.collate(parts[index], self.split, generator(seed, "collate"))
                last = index + 1 == len(pieces)
                after = LanePosition(window + 1, 0) if last else LanePosition(window, index + 1)
                # Rows that encode dropped count too, spread over the window, so that progress ends at 1.
                used = read * (index + 1) // len(pieces) - read * index // len(pieces)
                yield replace(batch, seed=seed), used + passed, after
                passed = 0

    def _chosen(self, examples: Examples) -> Examples:
        """The rows at which fraction · (row + 1) reaches the next whole number."""
        before, after = (self.fraction * rows.double() for rows in (examples.rows, examples.rows + 1))
        return examples.take((after.floor() > before.floor()).nonzero().squeeze(1))

    @cached_property
    def _empty(self) -> Batch:
        nothing = self.task.encode(self.source.cursor().fetch(0, 0).examples(), self.split)
        return self.task.collate(nothing, self.split, generator(0))


def _fetch_window(cursor: Cursor, lane: Lane, window: int) -> list[Fetched]:
    """A window's rows, by ranges; what is read after each range is on its way from a remote file system meanwhile."""
    ranges = lane.rows(window)
    found = []
    for (first, last), after in zip_longest(ranges, [*ranges[1:], *lane.rows(window + 1)[:1]]):
        if after:
            cursor.expect(after[0])
        found.append(cursor.fetch(first, last))
    return found
