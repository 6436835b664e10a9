"""Transforms one after the other, and a source that is prepared by them."""

from __future__ import annotations

import pickle
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from saccade.models.jagged import Jagged
from saccade.pipelines.errors import UserError
from saccade.pipelines.parquet.schema import Column
from saccade.pipelines.parquet.source import Source
from saccade.pipelines.transforms.chain import Chain, Step
from saccade.pipelines.transforms.hashing import Hash
from saccade.pipelines.transforms.join import Join, side_table
from saccade.pipelines.transforms.last import Last
from saccade.pipelines.transforms.lookup import Lookup
from saccade.pipelines.transforms.take import Take
from saccade.pipelines.transforms.time_deltas import TimeDeltas
from saccade.pipelines.transforms.transform import Transform
from saccade.pipelines.vocabulary import Vocabulary

ITEMS = pa.table({"item": ["a", "b", "c"], "genre": ["x", "y", "x"]})
GENRES = Vocabulary.build([pa.array(["x", "y", "x"])])
BATCH = pa.record_batch({"items": [["a", "b", "c"], [], ["c"]], "times": [[1, 2, 5], [], [7]], "user": [1, 2, 3]})


def chain(*transforms: Transform) -> Chain:
    return Chain(tuple(Step(f"{place} {type(each).__name__}", each) for place, each in enumerate(transforms)))


MANY = chain(
    Last(("items", "times"), 2),
    Join("items", "genres", side_table(ITEMS, "item", "genre", "f")),
    Lookup("genres", "genres", GENRES),
    TimeDeltas("times", "deltas"),
    Hash("items", "history", 1000),
    Take("history", "recent", last=1),
)


def test_later_ones_read_what_earlier_ones_made() -> None:
    made = MANY(BATCH)
    assert made.column("genres").to_pylist() == [[2, 1], [], [1]]
    assert made.column("deltas").to_pylist() == [[0, 3], [], [0]]
    assert [len(row) for row in made.column("recent").to_pylist()] == [1, 0, 1]
    assert made.column("user").to_pylist() == [1, 2, 3]
    assert MANY.reads == ("items", "times")
    assert set(MANY.writes) == {"items", "times", "genres", "deltas", "history", "recent"}
    assert MANY(BATCH.slice(0, 0)).schema == made.schema


def test_what_nobody_asks_for_is_not_made() -> None:
    part = MANY.making(["genres"])
    assert [step.name for step in part.steps] == ["0 Last", "1 Join", "2 Lookup"]
    assert part.reads == ("items", "times")
    assert chain(Hash("a", "a", 5), Hash("b", "b", 5)).making(["b"]).reads == ("b",)
    assert MANY.making(["user"]).steps == ()


def test_how_many_ids_there_are() -> None:
    assert MANY.ids("recent") == MANY.ids("history") == 1001
    assert MANY.ids("genres") == 3
    assert MANY.ids("deltas") is MANY.ids("items") is MANY.ids("user") is None
    found = MANY.vocabulary("genres")
    assert found is not None
    assert found[0] is GENRES
    assert MANY.vocabulary("history") is None
    # Taken from a column that was replaced later: of what it was before.
    assert chain(Take("x", "y"), Hash("x", "x", 5)).ids("y") is None
    assert chain(Hash("x", "x", 5), Take("x", "y"), Hash("x", "x", 9)).ids("y") == 6


def test_missing_columns_are_named() -> None:
    with pytest.raises(UserError, match=r"^0 Hash: no column 'item' \(did you mean 'items'\?\)"):
        chain(Hash("item", "x", 5))(BATCH)
    with pytest.raises(UserError, match=r"^0 Hash: no column 'zzz'; there are items, times, user"):
        chain(Hash("zzz", "x", 5))(BATCH)
    with pytest.raises(UserError, match=r"^0 Hash: no column 'late': 1 Take makes it, put that first"):
        chain(Hash("late", "x", 5), Take("items", "late"))(BATCH)
    with pytest.raises(UserError, match=r"^0 Hash: no column 'round': 0 Hash makes it"):
        chain(Hash("round", "round", 5))(BATCH)
    with pytest.raises(UserError, match=r"^0 Last: columns 'items', 'user': lists are needed, but 'user' has type"):
        chain(Last(("items", "user"), 5))(BATCH)


def test_a_source_gives_what_is_made(tmp_path: Path) -> None:
    rows = [[f"item {number}" for number in range(length % 7)] for length in range(1000)]
    pq.write_table(pa.table({"items": rows}), tmp_path / "a.parquet", row_group_size=300)
    sent = pickle.loads(pickle.dumps(chain(Hash("items", "history", 50))))
    source = Source.open(str(tmp_path), None, [Column("history", "integers")], prepare=sent)
    (expected,) = Hash("items", "history", 50)(pa.array(rows))
    for first, last in [(0, 1000), (299, 301), (17, 18), (5, 5)]:
        history = source.read(first, last).columns["history"]
        assert isinstance(history, Jagged)
        assert [row.tolist() for row in history.unpack()] == expected.slice(first, last - first).to_pylist()
    with pytest.raises(UserError, match="a.parquet: 0 Hash: no column 'item'"):
        Source.open(str(tmp_path), None, [], prepare=chain(Hash("item", "history", 50)))
