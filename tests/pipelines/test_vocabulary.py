"""Vocabularies against plain counting, and files that are none."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.pipelines.transforms.layouts import TEXT_ROWS, deep, layouts

from saccade.pipelines import vocabulary as module
from saccade.pipelines.errors import UserError
from saccade.pipelines.vocabulary import Counts, Vocabulary


@given(st.lists(st.lists(st.none() | st.text(max_size=2), max_size=20), min_size=1, max_size=5), st.integers(1, 3))
def test_values_are_numbered_by_how_often_they_come(chunks: list[list[str | None]], min_count: int) -> None:
    counted = Counter(value for chunk in chunks for value in chunk if value is not None)
    ordered = sorted(counted.items(), key=lambda item: (-item[1], item[0].encode()))
    built = Vocabulary.build((pa.array(chunk, pa.string()) for chunk in chunks), min_count=min_count)
    expected = [(value, count) for value, count in ordered if count >= min_count]
    assert list(zip(built.values.to_pylist(), built.counts.to_pylist(), strict=True)) == expected


@given(TEXT_ROWS)
def test_every_layout_is_encoded_alike(rows: list[Any]) -> None:
    vocabulary = Vocabulary.build([pa.array(["b", "b", "a", "", ""])])
    ids = {"": 1, "b": 2, "a": 3}
    for array in layouts(rows, pa.string()):
        assert vocabulary.encode(array).to_pylist() == deep(array.to_pylist(), lambda value: ids.get(value, 0))
    assert vocabulary.decode(pa.array([1, 0, 3, 4])).to_pylist() == ["", None, "a", None]


def test_integers_of_any_width() -> None:
    vocabulary = Vocabulary.build([pa.array([7, 7, -3], pa.int8()), pa.array([[7, 2**40]])])
    assert vocabulary.values.to_pylist() == [7, -3, 2**40]
    assert vocabulary.encode(pa.array([7, 5, None], pa.uint16())).to_pylist() == [1, 0, None]


def test_counts_are_added_up_on_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MERGE_AT", 4)
    counts = Counts()
    for number in range(100):
        counts.add(pa.array([number % 7, number % 3]))
        assert sum(map(len, counts._held)) < 20
    expected = Counter(value for number in range(100) for value in (number % 7, number % 3))
    built = counts.vocabulary()
    assert dict(zip(built.values.to_pylist(), built.counts.to_pylist(), strict=True)) == expected


@pytest.mark.parametrize("values", [["x", "y"], [5, -(2**60)], []])
def test_a_file_is_read_back(tmp_path: Path, values: list[Any]) -> None:
    built = Vocabulary.build([pa.array(values, None if values else pa.string())])
    built.save(tmp_path / "v.parquet")
    read = Vocabulary.load(tmp_path / "v.parquet")
    assert read.values.equals(built.values)
    assert read.counts.equals(built.counts)
    assert pq.read_schema(tmp_path / "v.parquet").names == ["id", "value", "count"]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"id": [1], "value": ["a"]}, "it has the columns id, value"),
        ({"id": [2, 1], "value": ["a", "b"], "count": [1, 1]}, r"its ids aren't 1..2 in order"),
        ({"id": [1, 2], "value": ["a", "a"], "count": [1, 1]}, "a value is null or there twice"),
        ({"id": [1, 2], "value": ["a", None], "count": [1, 1]}, "a value is null or there twice"),
        ({"id": [1], "value": [0.5], "count": [1]}, "strings or integers are needed"),
    ],
)
def test_files_that_are_no_vocabulary(tmp_path: Path, columns: dict[str, Any], message: str) -> None:
    pq.write_table(pa.table(columns), tmp_path / "v.parquet")
    with pytest.raises(UserError, match=f"v.parquet is no vocabulary: {message}"):
        Vocabulary.load(tmp_path / "v.parquet")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "damaged.parquet").write_bytes(b"PAR1")
    for name in ("nowhere.parquet", "damaged.parquet"):
        with pytest.raises(UserError, match=f"{name} can't be read"):
            Vocabulary.load(tmp_path / name)


def test_what_cannot_be_numbered() -> None:
    with pytest.raises(UserError, match="strings or integers are needed, but it has type double"):
        Vocabulary.build([pa.array([0.5])])
    with pytest.raises(UserError, match="strings or integers, not both"):
        Vocabulary.build([pa.array(["a"]), pa.array([1])])
    with pytest.raises(UserError, match="ids must fit 64 bits with a sign"):
        Vocabulary.build([pa.array([2**63], pa.uint64())])
