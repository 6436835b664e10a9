"""The reader over a source in memory: what a step holds must not depend on workers, nor on where one begins."""

import threading
from collections import defaultdict
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

    def cursor(self) -> "Memory":
        return self

    def expect(self, first: int) -> None:
        assert any(group.first_row <= first < group.first_row + group.rows for group in self.row_groups)

    def fetch(self, first: int, last: int) -> SimpleNamespace:
        if last > self.broken_from:
            raise OSError("the disk is gone")
        return SimpleNamespace(examples=lambda: self.read(first, last))

    def read(self, first: int, last: int) -> Examples:
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


def steps(
    of: Reader, epoch: int = 0, start: dict[int, LanePosition] | None = None, until: int | None = None
) -> list[StepInput]:
    """All steps that hold something, or so many."""
    found: list[StepInput] = []
    with closing(of.steps(epoch, start)) as stream:
        for item in stream:
            if len(found) == until or (until is None and not any(len(b.rows) for b in item.batches)):
                return found
            found.append(item)
    raise AssertionError("the stream of steps has an end")


def essence(batch: Batch) -> tuple[Any, ...]:
    ids = {name: values.tolist() for name, values in batch.lookups.items()}
    return batch.rows.tolist(), batch.seed if len(batch.rows) else 0, batch.targets, batch.events, ids


lengths_of_a_source = st.lists(st.integers(0, 20), min_size=1, max_size=90)


@settings(max_examples=15)
@given(lengths_of_a_source, st.integers(1, 30), st.integers(1, 20), st.integers(1, 6))
def test_steps_do_not_depend_on_the_number_of_workers(lengths: list[int], group: int, window: int, lanes: int) -> None:
    source = Memory(lengths, group)
    whole = steps(reader(source, window=window, lanes=lanes))
    expected = [[essence(b) for b in item.batches] for item in whole]
    after = [item.after for item in whole]
    for workers in (2, 3, 4, 7):
        ranks = [
            steps(reader(source, r, workers, window=window, lanes=lanes), until=len(whole)) for r in range(workers)
        ]
        for step in range(len(whole)):
            items = [rank[step] for rank in ranks]
            assert {len(item.batches) for item in items} == {-(-lanes // workers)}
            # Rank r of W runs lanes r, r + W, …: the i-th batch of rank r is lane r + i W.
            found = [essence(items[lane % workers].batches[lane // workers]) for lane in range(lanes)]
            assert found == expected[step]
            # What is beyond the lanes is empty.
            assert sum(len(b.rows) for item in items for b in item.batches) == sum(len(rows) for rows, *_ in found)
            assert sum(item.rows for item in items) == whole[step].rows
            mine = [item.after for item in items]
            assert all(lane % workers == rank for rank, places in enumerate(mine) for lane in places)
            # A rank whose lanes have all run dry says no more of them.
            assert {lane: place for places in mine for lane, place in places.items()}.items() <= after[step].items()


def test_a_rank_beyond_the_lanes_has_empty_steps_only() -> None:
    source = Memory([9] * 60)
    with closing(reader(source, 5, 6, lanes=4).steps(0)) as stream:
        found = list(islice(stream, 20))
    assert all(len(item.batches) == 1 and not len(item.batches[0].rows) for item in found)
    assert all(item.after == {} and item.rows == 0 for item in found)


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


@settings(max_examples=15)
@given(lengths_of_a_source, st.integers(1, 5), st.data())
def test_a_run_resized_in_an_epoch_goes_on_with_the_rest(lengths: list[int], lanes: int, data: st.DataObject) -> None:
    source = Memory(lengths)
    whole = steps(reader(source, lanes=lanes), epoch=1)
    positions: dict[int, LanePosition] = {}
    done = 0
    while done < len(whole):
        workers, count = data.draw(st.integers(1, 6)), data.draw(st.integers(1, len(whole) - done))
        parts = [steps(reader(source, r, workers, lanes=lanes), 1, dict(positions), count) for r in range(workers)]
        for step in range(count):
            found = [essence(parts[lane % workers][step].batches[lane // workers]) for lane in range(lanes)]
            assert found == [essence(b) for b in whole[done + step].batches]
        positions.update({lane: place for part in parts for item in part for lane, place in item.after.items()})
        done += count
    rest = steps(reader(source, lanes=lanes), epoch=1, start=positions)
    assert rest == []


@settings(max_examples=25)
@given(lengths_of_a_source, st.integers(5, 40), st.integers(10, 60))
def test_lanes_are_balanced_within_a_micro_batch_a_window(lengths: list[int], window: int, budget: int) -> None:
    """Of a window with T tokens a lane makes T / budget micro-batches or, for what rows don't fill, a little more."""
    tokens: dict[tuple[int, int], list[int]] = defaultdict(list)
    for item in steps(reader(Memory(lengths), window=window, tokens=budget)):
        for (lane, after), batch in zip(item.after.items(), item.batches, strict=True):
            if len(batch.rows):
                tokens[lane, after.window - (after.micro_batch == 0)].append(batch.events)
    longest = TASK.max_length
    for found in tokens.values():
        assert sum(found) / budget <= len(found) <= 1 + sum(found) / (budget - longest + 1)
        if sum(found) / len(found) + longest <= budget:
            assert max(found) - min(found) < 2 * longest


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


@settings(max_examples=15)
@given(lengths_of_a_source, st.integers(1, 30), st.floats(0.01, 1.0), st.integers(1, 4))
def test_a_fraction_is_the_same_rows_on_any_number_of_workers(
    lengths: list[int], group: int, fraction: float, workers: int
) -> None:
    source = Memory([n + 3 for n in lengths], group)  # all long enough to be measured
    every = len(steps(reader(source, split="valid")))
    found = [
        row
        for rank in range(workers)
        for item in steps(reader(source, rank, workers, split="valid", fraction=fraction), until=every)
        for batch in item.batches
        for row in batch.rows.tolist()
    ]
    assert len(found) == int(fraction * len(lengths))
    assert sorted(found) == [r for r in range(len(lengths)) if int(fraction * (r + 1)) > int(fraction * r)]
