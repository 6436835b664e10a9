from typing import Any

import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from saccade.models.jagged import Jagged
from saccade.pipelines.examples import split_rows
from saccade.pipelines.parquet.decode import NullFound
from saccade.pipelines.parquet.decode import decode as decode_columns
from saccade.pipelines.parquet.schema import Column, Kind, Null

INTEGERS = [pa.int8(), pa.uint8(), pa.int16(), pa.uint16(), pa.int32(), pa.uint32(), pa.int64(), pa.uint64()]
FLOATS = [pa.float16(), pa.float32(), pa.float64()]
LISTS = [pa.list_, pa.large_list]

small_integers = st.integers(0, 127)
# Multiples of 1/4 are the same in every width.
exact_floats = st.integers(-100, 100).map(lambda n: n / 4)


def jagged_lists(element: st.SearchStrategy[Any]) -> st.SearchStrategy[list[list[Any]]]:
    return st.lists(st.lists(element, max_size=5), max_size=12)


@st.composite
def sliced(draw: st.DrawFn, rows: list[Any], type_: pa.DataType) -> pa.Array:
    """The rows as a slice out of a longer array."""
    before, after = (rows[: draw(st.integers(0, len(rows)))] for _ in range(2))
    return pa.array([*before, *rows, *after], type_).slice(len(before), len(rows))


def decode(array: pa.Array, kind: Kind, null: Null | None = None) -> torch.Tensor | Jagged:
    return decode_columns(pa.record_batch({"x": array}), [Column("x", kind, null)])["x"]


def as_lists(column: torch.Tensor | Jagged) -> list[Any]:
    return [part.tolist() for part in column.unpack()] if isinstance(column, Jagged) else column.tolist()


@given(st.data())
def test_lists_of_integers_round_trip(data: st.DataObject) -> None:
    rows = data.draw(jagged_lists(small_integers))
    type_ = data.draw(st.sampled_from(LISTS))(data.draw(st.sampled_from(INTEGERS)))
    decoded = decode(data.draw(sliced(rows, type_)), "integers")
    assert isinstance(decoded, Jagged)
    assert decoded.values.dtype == torch.int64
    assert as_lists(decoded) == rows


@given(st.data())
def test_lists_of_floats_round_trip(data: st.DataObject) -> None:
    rows = data.draw(jagged_lists(exact_floats))
    type_ = data.draw(st.sampled_from(LISTS))(data.draw(st.sampled_from(FLOATS)))
    decoded = decode(data.draw(sliced(rows, type_)), "floats")
    assert isinstance(decoded, Jagged)
    assert decoded.values.dtype == torch.float32
    assert as_lists(decoded) == rows


@given(st.data(), st.integers(0, 3))
def test_fixed_size_lists_round_trip(data: st.DataObject, size: int) -> None:
    rows = data.draw(st.lists(st.lists(small_integers, min_size=size, max_size=size), max_size=10))
    decoded = decode(data.draw(sliced(rows, pa.list_(pa.int32(), size))), "integers")
    assert as_lists(decoded) == rows


@given(st.data())
def test_numbers_round_trip(data: st.DataObject) -> None:
    integers = data.draw(st.lists(small_integers, max_size=12))
    decoded = decode(data.draw(sliced(integers, data.draw(st.sampled_from(INTEGERS)))), "integer")
    assert isinstance(decoded, torch.Tensor)
    assert decoded.dtype == torch.int64
    assert decoded.tolist() == integers
    floats = data.draw(st.lists(exact_floats, max_size=12))
    decoded = decode(data.draw(sliced(floats, data.draw(st.sampled_from(FLOATS)))), "float")
    assert isinstance(decoded, torch.Tensor)
    assert decoded.dtype == torch.float32
    assert decoded.tolist() == floats


@given(st.data())
def test_text_and_bytes_round_trip(data: st.DataObject) -> None:
    texts = data.draw(st.lists(st.text(max_size=6), max_size=10))
    type_ = data.draw(st.sampled_from([pa.string(), pa.large_string(), pa.string_view()]))
    decoded = decode(data.draw(sliced(texts, type_)), "string")
    assert [bytes(row).decode() for row in as_lists(decoded)] == texts
    blobs = [text.encode() for text in texts]
    type_ = data.draw(st.sampled_from([pa.binary(), pa.large_binary(), pa.binary_view()]))
    decoded = decode(data.draw(sliced(blobs, type_)), "binary")
    assert [bytes(row) for row in as_lists(decoded)] == blobs


def test_dictionaries_fixed_width_bytes_and_booleans() -> None:
    words = pa.array(["b", "a", "b"]).dictionary_encode()
    assert as_lists(decode(words, "string")) == [[98], [97], [98]]
    assert as_lists(decode(pa.array([b"xy", b"zz"], pa.binary(2)), "binary")) == [
        [120, 121],
        [122, 122],
    ]
    assert as_lists(decode(pa.array([True, False]), "integer")) == [1, 0]


def test_right_types_are_not_copied() -> None:
    array = pa.array([[1, 2], [3]], pa.list_(pa.int64()))
    decoded = decode(array, "integers")
    assert isinstance(decoded, Jagged)
    assert decoded.values.data_ptr() == array.values.buffers()[1].address


def test_memory_outlives_the_array() -> None:
    decoded = decode(pa.array(range(100_000)), "integer")
    others = [pa.array(range(100_000, 0, -1)) for _ in range(5)]  # would take the freed memory
    assert as_lists(decoded) == list(range(100_000))
    assert len(others) == 5


@pytest.mark.parametrize(
    ("rows", "type_", "kind"),
    [
        ([1, 2, None, None], pa.int64(), "integer"),
        ([[1], [], None, [2]], pa.list_(pa.int64()), "integers"),
        ([[1, 2], [], [3, None], [None]], pa.list_(pa.int64()), "integers"),
        ([[1, 2], [2, 3], [3, None]], pa.list_(pa.int64(), 2), "integers"),
        (["a", "b", None], pa.string(), "string"),
        (["a", "b", None], pa.dictionary(pa.int8(), pa.string()), "string"),
    ],
)
def test_a_null_is_found_in_its_row(rows: list[Any], type_: pa.DataType, kind: Kind) -> None:
    array = pa.array(rows, type_)
    for first in (0, 1):
        with pytest.raises(NullFound) as error:
            decode(array.slice(first), kind)
        assert error.value.row == 2 - first


def test_an_unsigned_value_beyond_int64_is_an_error() -> None:
    with pytest.raises(pa.ArrowInvalid):
        decode(pa.array([2**63], pa.uint64()), "integer")


@given(jagged_lists(small_integers), st.integers(0, 12), st.integers(0, 12))
def test_slices_of_rows(rows: list[list[int]], first: int, last: int) -> None:
    first, last = sorted((min(first, len(rows)), min(last, len(rows))))
    column = decode(pa.array(rows, pa.list_(pa.int64())), "integers")
    parts = split_rows(column, [first, last - first, len(rows) - last])
    assert [as_lists(part) for part in parts] == [rows[:first], rows[first:last], rows[last:]]
