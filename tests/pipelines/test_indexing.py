"""``saccade data index``: what it writes reads back as what was there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from saccade.pipelines.errors import UserError
from saccade.pipelines.indexing import index
from saccade.pipelines.parquet.schema import Column
from saccade.pipelines.parquet.source import Source
from saccade.pipelines.vocabulary import Vocabulary


def write(file: Path, rows: dict[str, Any], metadata: dict[str, str] | None = None) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(rows).replace_schema_metadata(metadata), file, row_group_size=2)


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    names = {"label_names": json.dumps(["no", "yes"])}
    rows = {"history": [["b", "a", "b"], [], None, ["b", None, "ü"]], "next": ["a", "b", "c", None], "n": [1, 2, 3, 4]}
    write(tmp_path / "shop/train/a.parquet", rows, names)
    write(tmp_path / "shop/train/b.parquet", {"history": [["a"]], "next": ["a"], "n": [5]})
    write(tmp_path / "shop/valid/a.parquet", {"history": [["a", "z", "y"]], "next": ["z"], "n": [6]})
    return tmp_path / "shop"


def test_columns_share_a_vocabulary(shop: Path, tmp_path: Path) -> None:
    result = index(str(shop), tmp_path / "out", {"history": "items", "next": "items"})
    assert result == {
        "output": str(tmp_path / "out"),
        "rows": {"train": 5, "valid": 1},
        "vocabularies": {"items": 4},
        "new": {},
        "unknown": {"train": {"history": 0, "next": 0}, "valid": {"history": 2, "next": 1}},
    }
    vocabulary = Vocabulary.load(tmp_path / "out" / "items.parquet")
    assert vocabulary.values.to_pylist() == ["a", "b", "c", "ü"]
    assert vocabulary.counts.to_pylist() == [4, 4, 1, 1]
    train = pq.read_table(tmp_path / "out" / "train")
    assert train["history"].to_pylist() == [[2, 1, 2], [], None, [2, None, 4], [1]]
    assert train["next"].to_pylist() == [1, 2, 3, None, 1]
    assert train["n"].to_pylist() == [1, 2, 3, 4, 5]
    assert pq.read_table(tmp_path / "out" / "valid").to_pylist() == [{"history": [1, 0, 0], "next": 0, "n": 6}]
    source = Source.open(str(tmp_path / "out"), "valid", [Column("history", "integers")])
    assert source.schema_metadata == {}
    assert "label_names" in Source.open(str(tmp_path / "out"), "train", []).schema_metadata


def test_columns_of_their_own_and_rare_values(shop: Path, tmp_path: Path) -> None:
    result = index(str(shop), tmp_path / "out", {"history": "items", "n": "numbers"}, min_count=2)
    assert result["vocabularies"] == {"items": 2, "numbers": 0}
    assert result["unknown"]["train"] == {"history": 1, "n": 5}
    assert pq.read_table(tmp_path / "out" / "train")["n"].to_pylist() == [0] * 5


def test_a_file_is_training_rows(tmp_path: Path) -> None:
    write(tmp_path / "one.parquet", {"history": [[10, 20], [20]]})
    index(str(tmp_path / "one.parquet"), tmp_path / "out", {"history": "v"})
    assert pq.read_table(tmp_path / "out" / "train")["history"].to_pylist() == [[2, 1], [1]]


def test_mistakes_leave_nothing_behind(shop: Path, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    for columns, message in [
        ({"histroy": "v"}, r"a.parquet: no column 'histroy' \(did you mean 'history'\?\)"),
        ({"history": "v", "n": "v"}, "column 'n': a vocabulary holds strings or integers, not both"),
    ]:
        with pytest.raises(UserError, match=message):
            index(str(shop), tmp_path / "out", columns)
    with pytest.raises(UserError, match="has something in it"):
        index(str(shop), shop, {"history": "v"})
    write(shop / "train" / "c.parquet", {"history": [["a"]], "next": [7], "m": [5]})
    with pytest.raises(UserError, match="other files have other columns"):
        index(str(shop), tmp_path / "out", {"history": "v"})
    (shop / "train" / "c.parquet").unlink()
    assert sorted(tmp_path.rglob("*")) == before
    (shop / "train").rename(shop / "test")
    with pytest.raises(UserError, match="no train split, whose values are numbered; it has valid, test"):
        index(str(shop), tmp_path / "out", {"history": "v"})


def test_an_extended_vocabulary_keeps_its_numbers(shop: Path, tmp_path: Path) -> None:
    index(str(shop), tmp_path / "old", {"history": "items"})
    old = Vocabulary.load(tmp_path / "old" / "items.parquet")
    write(tmp_path / "newer.parquet", {"history": [["new", "a"], ["newer", "new", "b", "b"]]})
    file = tmp_path / "old" / "items.parquet"
    result = index(str(tmp_path / "newer.parquet"), tmp_path / "new", {"history": "items"}, extend={"items": file})
    new = Vocabulary.load(tmp_path / "new" / "items.parquet")
    assert new.extends(old)
    assert not old.extends(new)
    assert result["new"] == {"items": 2}
    assert new.values.to_pylist() == [*old.values.to_pylist(), "new", "newer"]
    added = dict(zip(new.values.to_pylist(), new.counts.to_pylist(), strict=True))
    before = dict(zip(old.values.to_pylist(), old.counts.to_pylist(), strict=True))
    assert added == {**before, "a": before["a"] + 1, "b": before["b"] + 2, "new": 2, "newer": 1}
    ids = pq.read_table(tmp_path / "new" / "train")["history"].to_pylist()
    names = new.values.to_pylist()
    assert [[names[i - 1] for i in row] for row in ids] == [["new", "a"], ["newer", "new", "b", "b"]]


def test_mistakes_with_an_extended_vocabulary(shop: Path, tmp_path: Path) -> None:
    index(str(shop), tmp_path / "old", {"history": "items"})
    file = tmp_path / "old" / "items.parquet"
    with pytest.raises(UserError, match="no column has the vocabulary 'things', which is to be extended"):
        index(str(shop), tmp_path / "new", {"history": "items"}, extend={"things": file})
    with pytest.raises(UserError, match="a vocabulary of strings can't be extended with integers"):
        index(str(shop), tmp_path / "new", {"n": "items"}, extend={"items": file})
    with pytest.raises(UserError, match="can't be read"):
        index(str(shop), tmp_path / "new", {"history": "items"}, extend={"items": tmp_path / "none"})
