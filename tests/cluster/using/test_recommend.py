"""``saccade recommend``: Parquet to Parquet."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.cluster.training.program import mistake
from tests.cluster.using.conftest import Films

import saccade
from saccade.cluster.cli.main import run


def recommend(films: Films, output: Path, *more: object) -> pa.Table:
    given = ["recommend", films.run, "--data", films.data, "--output", output, *more]
    assert run(list(map(str, given))) == 0
    return pq.read_table(output)


def test_a_file_of_all_rows_in_order(films: Films, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    table = recommend(films, tmp_path / "next.parquet", "--top-k", 3, "--json")
    result = json.loads(capsys.readouterr().out)
    assert result["rows"] == 300
    assert table["row"].to_pylist() == list(range(300))
    assert table["user_id"].to_pylist() == [f"user {n}" for n in range(300)]
    expected = saccade.load(films.run).recommend(films.histories, 3)
    assert table["items"].to_pylist() == expected.items
    for history, items in zip(films.histories, expected.items, strict=True):
        assert not set(history) & set(items)
    assert [path.name for path in tmp_path.iterdir()] == ["next.parquet"]


def test_predict_gives_the_same(films: Films, tmp_path: Path) -> None:
    assert run(["predict", *map(str, (films.run, "--data", films.data, "--output", tmp_path / "p.parquet"))]) == 0
    assert pq.read_table(tmp_path / "p.parquet").equals(recommend(films, tmp_path / "r.parquet"))


def test_seen_items_may_stay(films: Films, tmp_path: Path) -> None:
    table = recommend(films, tmp_path / "next.parquet", "--keep-seen", "--top-k", 40)
    for items in table["items"].to_pylist():
        assert len(set(items)) == 40


@pytest.mark.parametrize(
    ("only", "wanted"),
    [
        (["genres=low"], lambda n, genres: n < 10),
        (["genres=low", "genres=odd"], lambda n, genres: n < 10 and n % 2 == 1),
        (["year=1905"], lambda n, genres: n == 5),
        ([], lambda n, genres: True),
    ],
)
def test_a_category(films: Films, tmp_path: Path, only: list[str], wanted: Any) -> None:
    options = [part for each in only for part in ("--only", each)]
    table = recommend(films, tmp_path / "next.parquet", "--items", films.table, *options, "--top-k", 40)
    for history, items in zip(films.histories, table["items"].to_pylist(), strict=True):
        assert set(items) == {f"film {n}" for n in range(1, 41) if wanted(n, films.genres)} - set(history)


def test_rows_without_history_are_left_out(films: Films, tmp_path: Path) -> None:
    rows = pa.table({"films": [["film 1"], [], ["film 2", "film 3"], []], "user_id": [4, 5, 6, 7]})
    pq.write_table(rows, tmp_path / "some.parquet")
    given = ["recommend", films.run, "--data", tmp_path / "some.parquet", "--output", tmp_path / "next.parquet"]
    assert run(list(map(str, given))) == 0
    table = pq.read_table(tmp_path / "next.parquet")
    assert table["row"].to_pylist() == [0, 2]
    assert table["user_id"].to_pylist() == [4, 6]
    pq.write_table(rows.slice(1, 1), tmp_path / "some.parquet")
    assert run(list(map(str, given))) == 0
    assert pq.read_table(tmp_path / "next.parquet").schema == table.schema
    assert pq.read_table(tmp_path / "next.parquet").num_rows == 0


def test_mistakes(films: Films, tmp_path: Path) -> None:
    base = ["recommend", films.run, "--data", films.data, "--output", tmp_path / "x.parquet"]
    assert "no column 'genre' (did you mean 'genres'?)" in mistake(*base, "--items", films.table, "--only", "genre=low")
    assert "no item with genres=none" in mistake(*base, "--items", films.table, "--only", "genres=none")
    assert "column 'year' has int64, which can't be 'old'" in mistake(
        *base, "--items", films.table, "--only", "year=old"
    )
    assert "--items" in mistake(*base, "--only", "genres=low")
    assert "write COLUMN=VALUE" in mistake(*base, "--items", films.table, "--only", "low")
    assert "isn't a run" in mistake("recommend", tmp_path, "--data", films.data, "--output", tmp_path / "x")
    assert "the folder" in mistake(*base[:-1], tmp_path / "none" / "x.parquet")
    assert not list(tmp_path.glob("*.parquet"))


def test_memory_holds_a_few_windows(films: Films, tmp_path: Path) -> None:
    """Answers are written while others are still to be computed: an error at the end finds row groups written."""
    from saccade.cluster.using.request import Choice, Request

    request = Request(str(films.run), str(films.data), 2, Choice())
    asked = request.application(request.open())
    used: list[int] = []
    sizes = []
    for batch in asked.batches(0, asked.windows, used.append):
        sizes.append(batch.num_rows)
        assert sum(sizes) == sum(used)
    assert sizes == [64, 64, 64, 64, 44]
