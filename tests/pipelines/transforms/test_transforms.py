"""Every transform against plain Python, in every layout of Arrow and on every slice."""

from __future__ import annotations

import math
from bisect import bisect_right
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.pipelines.transforms.layouts import FLOATS, ROWS, TEXT_ROWS, check, check_slices, layouts

from saccade.pipelines.errors import UserError
from saccade.pipelines.transforms.bucketise import Bucketise
from saccade.pipelines.transforms.fill import Fill
from saccade.pipelines.transforms.hashing import Hash
from saccade.pipelines.transforms.join import Join, side_table
from saccade.pipelines.transforms.last import Last
from saccade.pipelines.transforms.log import Log
from saccade.pipelines.transforms.lookup import Lookup
from saccade.pipelines.transforms.standardise import Standardise
from saccade.pipelines.transforms.take import Take
from saccade.pipelines.transforms.time_deltas import TimeDeltas
from saccade.pipelines.transforms.transform import Transform
from saccade.pipelines.vocabulary import Vocabulary

PINNED_TEXTS = [420947056, 614846232, 28632543, 322495242, 482626699, 888723987, 428007646, 124382160]
PINNED_INTEGERS = [420947056, 472732431, 501059697, 514490416, 592093070]
PINNED_SEED = [2, 10, 5, 5, 10, 8, 10, 6]
FLOAT_ROWS = st.lists(st.none() | st.lists(FLOATS, max_size=5), max_size=8)


def mix(state: int) -> int:
    state = (state + 0x9E3779B97F4A7C15) % 2**64
    state = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    state = (state ^ state >> 27) * 0x94D049BB133111EB % 2**64
    return state ^ state >> 31


def hashed(value: int | str, buckets: int, seed: int) -> int:
    """The hash as its documentation describes it."""
    state = mix(seed)
    if isinstance(value, int):
        return mix(state ^ value % 2**64) % buckets + 1
    data = value.encode()
    for at in range(0, len(data), 8):
        state = mix(state ^ int.from_bytes(data[at : at + 8], "little"))
    return mix(state ^ len(data)) % buckets + 1


@given(ROWS, TEXT_ROWS, st.integers(1, 1000), st.integers(0, 2**32 - 1))
def test_hash(integers: list[Any], texts: list[Any], buckets: int, seed: int) -> None:
    transform = Hash("x", "y", buckets, seed)
    check(transform, integers, pa.int32(), lambda value: hashed(value, buckets, seed))
    check(transform, texts, pa.string(), lambda value: hashed(value, buckets, seed))


def test_hashes_never_change() -> None:
    """Models depend on them: whoever changes the hash makes every table of hashed ids worthless."""
    texts = pa.array(["", "a", "item-1", "item-10", "exactly8", "nine char", "Ünïcödé, 日本語", "x" * 100])
    (ids,) = Hash("x", "y", 10**9)(texts)
    assert ids.to_pylist() == PINNED_TEXTS
    (ids,) = Hash("x", "y", 10**9)(pa.array([0, 1, -1, 2**40, -(2**63)]))
    assert ids.to_pylist() == PINNED_INTEGERS
    (ids,) = Hash("x", "y", 10, seed=7)(texts)
    assert ids.to_pylist() == PINNED_SEED


def test_hashes_spread_evenly() -> None:
    (ids,) = Hash("x", "y", 100)(pa.array([f"item-{number}" for number in range(100_000)]))
    counts = np.bincount(np.asarray(ids), minlength=101)
    assert counts[0] == 0
    assert counts[1:].min() > 850
    assert counts[1:].max() < 1150  # five standard deviations


@given(TEXT_ROWS, st.lists(st.text(max_size=3), unique=True, max_size=5))
def test_lookup(rows: list[Any], values: list[str]) -> None:
    vocabulary = Vocabulary.build([pa.array(values, pa.string())])
    ids = {value: number for number, value in enumerate(sorted(values, key=str.encode), start=1)}
    check(Lookup("x", "y", vocabulary), rows, pa.string(), lambda value: ids.get(value, 0))


def test_lookup_without_unknown_values() -> None:
    labels = Lookup("x", "y", Vocabulary.build([pa.array(["no", "yes"])]), unknown="error", first=0)
    assert labels(pa.array(["yes", None, "no"]))[0].to_pylist() == [1, None, 0]
    assert labels.ids == 2
    with pytest.raises(UserError, match="the value 'maybe' isn't in the vocabulary of 2: set unknown to zero"):
        labels(pa.array(["yes", "maybe"]))
    with pytest.raises(UserError, match="the vocabulary holds strings, but the column integers"):
        labels(pa.array([1]))


@given(ROWS, st.dictionaries(st.integers(-50, 50), st.none() | st.text(max_size=3)))
def test_join(rows: list[Any], known: dict[int, str | None]) -> None:
    table = pa.table({"id": pa.array(list(known), pa.int16()), "genre": pa.array(list(known.values()), pa.string())})
    check(Join("x", "y", side_table(table, "id", "genre", "f")), rows, pa.int64(), known.get)


def test_join_of_lists_and_of_missing_keys() -> None:
    table = pa.table({"id": ["a", "b"], "genres": [["x", "y"], []]})
    join = Join("x", "y", side_table(table, "id", "genres", "f"), missing="error")
    assert join(pa.array([["a", "b"], None]))[0].to_pylist() == [[["x", "y"], []], None]
    assert join(pa.array([None, "a"]))[0].to_pylist() == [None, ["x", "y"]]
    with pytest.raises(UserError, match="no row for 'c': add it, or set missing to null"):
        join(pa.array(["a", "c"]))
    with pytest.raises(UserError, match="key has type large_string, but the column int64"):
        join(pa.array([1]))


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"id": [1, 2, 1], "v": [1, 2, 3]}, "the key 'id' has 1 more than once; keep one row"),
        ({"id": [1, None], "v": [1, 2]}, "the key 'id' has a null; drop the row"),
        ({"id": [1.5], "v": [1]}, "column 'id': strings or integers are needed, but it has type double"),
        ({"key": [1], "v": [1]}, "no column 'id'; it has key, v"),
    ],
)
def test_side_tables_that_cannot_be_joined(table: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=f"^f: {message}"):
        side_table(pa.table(table), "id", "v", "f")


@given(FLOAT_ROWS, st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=5, unique=True).map(sorted))
def test_bucketise(rows: list[Any], boundaries: list[float]) -> None:
    transform = Bucketise("x", "y", tuple(boundaries))
    check(transform, rows, pa.float64(), lambda value: bisect_right(boundaries, value) + 1)
    assert transform(pa.array([math.nan, math.inf, -math.inf]))[0].to_pylist() == [0, len(boundaries) + 1, 1]


@given(FLOAT_ROWS)
def test_log_and_standardise(rows: list[Any]) -> None:
    check(Log("x", "y"), rows, pa.float64(), lambda x: float(np.copysign(np.log1p(abs(x)), x)))
    check(Standardise("x", "y", 2.5, 0.3), rows, pa.float64(), lambda x: (x - 2.5) / 0.3)


@given(ROWS)
def test_fill(rows: list[Any]) -> None:
    def filled(row: Any, type_: pa.DataType) -> Any:
        value_type = getattr(type_, "value_type", None)
        if value_type is None:
            return 7 if row is None else row
        return [filled(value, value_type) for value in row or []]

    for array in layouts(rows, pa.int32()):
        (made,) = Fill("x", "y", 7)(array)
        assert made.to_pylist() == [filled(row, array.type) for row in array.to_pylist()]
        assert made.null_count == 0
    for array in layouts(rows, pa.int32()):
        if not pa.types.is_fixed_size_list(array.type):
            check_slices(Fill("x", "y", 7), array)


def test_fill_of_other_types() -> None:
    assert Fill("x", "y", "?")(pa.array(["a", None]).dictionary_encode())[0].to_pylist() == ["a", "?"]
    assert Fill("x", "y", 0.5)(pa.array([None, 1], pa.float32()))[0].to_pylist() == [0.5, 1]
    for value, array in [("?", pa.array([1])), (300, pa.array([1], pa.uint8())), (1, pa.array(["a"]))]:
        with pytest.raises(UserError, match=f"{value!r} doesn't fit its type, {array.type}"):
            Fill("x", "y", value)(array)


@given(TEXT_ROWS, st.integers(1, 6))
def test_take(rows: list[Any], most: int) -> None:
    for array in layouts(rows, pa.string()):
        assert Take("x", "y")(array)[0] is array
        if not hasattr(array.type, "value_type") or pa.types.is_dictionary(array.type):
            with pytest.raises(UserError, match="lists are needed"):
                Take("x", "y", last=most)(array)
            continue
        for transform, part in [
            (Take("x", "y", first=most), slice(None, most)),
            (Take("x", "y", last=most), slice(-most, None)),
        ]:
            expected = [None if row is None else row[part] for row in array.to_pylist()]
            assert transform(array)[0].to_pylist() == expected
            check_slices(transform, array)


@given(ROWS, st.integers(1, 6))
def test_last(rows: list[Any], events: int) -> None:
    items = pa.array(rows, pa.list_(pa.int32()))
    times = pa.array([row and [0.5] * len(row) for row in rows], pa.large_list(pa.float64()))
    transform = Last(("items", "times"), events)
    for made, array in zip(transform(items, times), (items, times), strict=True):
        assert made.to_pylist() == [None if row is None else row[-events:] for row in array.to_pylist()]
    check_slices(transform, items, times)


def test_lists_that_run_apart() -> None:
    transform = Last(("items", "times"), 2)
    with pytest.raises(UserError, match="a row has 2 events in 'items', but 1 events in 'times'"):
        transform(pa.array([[1], [1, 2]]), pa.array([[1], [1]]))
    with pytest.raises(UserError, match="a row has 0 events in 'items', but null in 'times'"):
        transform(pa.array([[]], pa.list_(pa.int8())), pa.array([None], pa.list_(pa.int8())))
    with pytest.raises(UserError, match="lists are needed, but 'times' has type int64"):
        transform(pa.array([[1]]), pa.array([1]))


@given(ROWS, st.none() | st.integers(1, 8))
def test_time_deltas(rows: list[Any], buckets: int | None) -> None:
    def bucket(delta: int) -> int:
        return delta if buckets is None else min(int(math.log2(1 + max(delta, 0))) + 1, buckets)

    def expected(row: list[int | None] | None) -> list[int | None] | None:
        if row is None:
            return None
        deltas = [0 if not at else None if row[at - 1] is None or row[at] is None else row[at] - row[at - 1]
                  for at in range(len(row))]  # fmt: skip
        if row and row[0] is None:
            deltas[0] = None
        return [None if delta is None else bucket(delta) for delta in deltas]

    transform = TimeDeltas("x", "y", buckets)
    for array in layouts(rows, pa.int64()):
        if hasattr(array.type, "value_type") and not hasattr(array.type.value_type, "value_type"):
            assert transform(array)[0].to_pylist() == [expected(row) for row in array.to_pylist()]
            check_slices(transform, array)
        else:
            with pytest.raises(UserError, match="lists of times are needed"):
                transform(array)


def test_time_deltas_of_moments_and_floats() -> None:
    days = pa.array([[10, 11, 20]], pa.list_(pa.int32()))
    assert TimeDeltas("x", "y")(days.cast(pa.list_(pa.date32())))[0].to_pylist() == [[0, 1, 9]]
    moments = pa.array([[0, 60, 3660]], pa.list_(pa.timestamp("s", "UTC")))
    assert TimeDeltas("x", "y")(moments)[0].to_pylist() == [[0, 60, 3600]]
    assert TimeDeltas("x", "y")(pa.array([[0.5, 2.0]]))[0].to_pylist() == [[0, 1.5]]
    late = pa.array([[0, 2**40, 2**40 - 5]])
    assert TimeDeltas("x", "y", 20)(late)[0].to_pylist() == [[1, 20, 1]]
    assert TimeDeltas("x", "y", 64)(late)[0].to_pylist() == [[1, 41, 1]]


@pytest.mark.parametrize(
    ("transform", "array"),
    [
        (Hash("x", "y", 5), pa.array([1.5])),
        (Hash("x", "y", 5), pa.array([2**63], pa.uint64())),
        (Log("x", "y"), pa.array(["a"])),
        (Bucketise("x", "y", (1.0,)), pa.array(["a"])),
        (Take("x", "y", last=1), pa.array([1])),
        (TimeDeltas("x", "y"), pa.array([["a"]])),
    ],
)
def test_types_that_are_not_taken(transform: Transform, array: pa.Array) -> None:
    with pytest.raises(UserError, match=r"needed, but|ids must fit 64 bits"):
        transform(array)


def test_unknown_values_are_left_out_of_lists() -> None:
    lookup = Lookup("x", "y", Vocabulary.build([pa.array(["a", "b"])]), unknown="drop")
    rows = pa.array([["a", "z", "b"], ["z"], None, [], ["b", None, "y"]])
    for array in (rows, rows.cast(pa.large_list(pa.string())), pa.concat_arrays([rows, rows]).slice(5)):
        assert lookup(array)[0].to_pylist() == [[1, 2], [], None, [], [2, None]]
    assert lookup(rows[:0])[0].to_pylist() == []
    for wrong in (pa.array(["a", "z"]), pa.array([[["a"]]])):
        with pytest.raises(UserError, match="unknown=drop leaves values out of lists, but it has type"):
            lookup(wrong)
