"""The reader over a source in memory: what a step holds must not depend on workers, nor on where one begins."""

import threading
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import islice
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from saccade.models.jagged import Jagged
from saccade.models.losses.sampled_softmax import sampled_softmax
from saccade.models.recommendation.sasrec import SASRec
from saccade.pipelines.batch import Batch
from saccade.pipelines.examples import Examples
from saccade.pipelines.order.reader import LanePosition, Reader, RowRange, StepInput
from saccade.pipelines.tasks.negatives import ScoredLoss
from saccade.pipelines.tasks.next_item import NextItem


@dataclass
class Memory:
    """Histories of given lengths in row groups of given sizes."""

    lengths: Sequence[int]
    group: int = 7
    broken_from: int = 1 << 60

    @property
    def row_groups(self) -> Sequence[RowRange]:
        starts = range(0, len(self.lengths), self.group)
        return [SimpleNamespace(first_row=s, rows=min(self.group, len(self.lengths) - s)) for s in starts]

    def read(self, first: int, last: int) -> Examples:
        if last > self.broken_from:
            raise OSError("the disk is gone")
        rows = [torch.arange(1, n + 1) for n in self.lengths[first:last]]
        history = Jagged.pack(rows) if rows else Jagged.pack([torch.zeros(0, dtype=torch.int64)]).take(torch.arange(0))
        return Examples(torch.arange(first, last), {"history": history}, torch.ones(last - first, dtype=torch.int64))


TASK = NextItem(
    history="history",
    max_length=10,
    items=60,
    build=partial(SASRec, dim=4, blocks=1, heads=1, hidden=4, dropout=0.0, max_length=10),
    dim=4,
    standard_deviation=0.1,
    loss=ScoredLoss(3, True, sampled_softmax),
    ks=[10],
    latest=0.5,
)


def reader(source: Memory, rank: int = 0, world_size: int = 1, **changes: Any) -> Reader:
    arguments: dict[str, Any] = {"seed": 5, "lanes": 4, "window": 6, "tokens": 25} | changes
    return Reader(source, TASK, arguments.pop("split", "train"), rank=rank, world_size=world_size, **arguments)


def steps(of: Reader, epoch: int = 0, start: dict[int, LanePosition] | None = None) -> list[StepInput]:
    """All steps that hold something."""
    found = []
    with closing(of.steps(epoch, start)) as stream:
        for item in stream:
            if not any(len(b.rows) for b in item.batches):
                return found
            found.append(item)
    raise AssertionError("the stream of steps has an end")


def essence(batch: Batch) -> tuple[Any, ...]:
    ids = {name: values.tolist() for name, values in batch.lookups.items()}
    return batch.rows.tolist(), batch.seed if len(batch.rows) else 0, batch.targets, batch.events, ids


lengths_of_a_source = st.lists(st.integers(0, 20), min_size=1, max_size=90)


@settings(max_examples=15)
@given(lengths_of_a_source, st.integers(1, 30), st.integers(1, 20))
def test_steps_do_not_depend_on_the_number_of_workers(lengths: list[int], group: int, window: int) -> None:
    source = Memory(lengths, group)
    alone = [[essence(b) for b in item.batches] for item in steps(reader(source, window=window))]
    for workers in (2, 4):
        ranks = [steps(reader(source, rank, workers, window=window)) for rank in range(workers)]
        nothing = essence(reader(source)._empty)
        for s, expected in enumerate(alone):
            # Rank r of W runs lanes r, r + W, …: the i-th batch of rank r is lane r + i W.
            found = [
                essence(ranks[lane % workers][s].batches[lane // workers])
                if s < len(ranks[lane % workers])
                else nothing
                for lane in range(4)
            ]
            assert found == expected
        assert max(map(len, ranks), default=0) == len(alone)


@settings(max_examples=15)
@given(lengths_of_a_source, st.sampled_from(["train", "valid", "test", "predict"]))
def test_every_row_is_read_once(lengths: list[int], split: Any) -> None:
    found = [
        row for item in steps(reader(Memory(lengths), split=split)) for b in item.batches for row in b.rows.tolist()
    ]
    shortest = {"train": 4, "valid": 3, "test": 3, "predict": 1}[split]
    assert sorted(found) == [row for row, length in enumerate(lengths) if length >= shortest]


@settings(max_examples=15)
@given(lengths_of_a_source, st.data())
def test_a_position_gives_exactly_the_rest(lengths: list[int], data: st.DataObject) -> None:
    source = Memory(lengths)
    whole = steps(reader(source), epoch=3)
    if not whole:
        return
    stop = data.draw(st.integers(1, len(whole)))
    positions: dict[int, LanePosition] = {}
    for item in whole[:stop]:
        positions.update(item.after)
    rest = steps(reader(source), epoch=3, start=positions)
    assert [[essence(b) for b in item.batches] for item in rest] == [
        [essence(b) for b in item.batches] for item in whole[stop:]
    ]
    assert [item.rows for item in rest] == [item.rows for item in whole[stop:]]
    assert [item.after for item in rest] == [item.after for item in whole[stop:]]


def test_a_resumed_run_may_have_other_workers() -> None:
    source = Memory([5 + i % 13 for i in range(80)])
    whole = steps(reader(source))
    positions: dict[int, LanePosition] = {}
    for rank in range(2):
        for item in steps(reader(source, rank, 2))[:2]:
            positions.update(item.after)
    rest = steps(reader(source), start=positions)
    assert [essence(b) for i in rest for b in i.batches] == [essence(b) for i in whole[2:] for b in i.batches]


def test_rows_add_up_to_the_source() -> None:
    source = Memory([n % 17 for n in range(90)])
    assert reader(source).rows == 90
    assert sum(item.rows for item in steps(reader(source))) == 90


def test_rows_of_windows_that_give_nothing_are_counted() -> None:
    source = Memory([2] * 12 + [9] * 12, group=24)
    assert sum(item.rows for item in steps(reader(source, lanes=1))) == 24


def test_epochs_differ_and_a_seed_repeats() -> None:
    source = Memory([5 + i % 13 for i in range(60)])

    def order(epoch: int, seed: int = 5) -> list[Any]:
        return [essence(b) for item in steps(reader(source, seed=seed), epoch) for b in item.batches]

    assert order(0) == order(0)
    assert order(0) != order(1)
    assert order(0) != order(0, seed=6)


def test_evaluation_keeps_the_order_of_the_source() -> None:
    source = Memory([9] * 40)
    found = [b.rows for item in steps(reader(source, split="test", lanes=1)) for b in item.batches]
    assert torch.cat(found).tolist() == list(range(40))


def threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name.startswith("reader-")}


def test_the_thread_ends_when_closed() -> None:
    before = threads()
    stream = reader(Memory([9] * 90)).steps(0)
    next(stream)
    assert threads() - before
    stream.close()
    assert threads() == before
    reader(Memory([9] * 9)).steps(0).close()
    assert threads() == before


def test_after_the_last_row_come_empty_steps() -> None:
    before = threads()
    with closing(reader(Memory([9] * 5)).steps(0)) as stream:
        found = list(islice(stream, 12))
    assert [sum(len(b.rows) for b in item.batches) for item in found[-3:]] == [0, 0, 0]
    assert all(len(item.batches) == 4 for item in found)
    assert all(item.after == {} and item.rows == 0 for item in found[-3:])
    assert threads() == before


def test_an_error_in_the_source_reaches_the_consumer() -> None:
    before = threads()
    with pytest.raises(OSError, match="disk is gone"):
        steps(reader(Memory([9] * 90, broken_from=60)))
    assert threads() == before
