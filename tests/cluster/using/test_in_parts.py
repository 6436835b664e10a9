"""``saccade recommend --workers``: the rows split among Ray workers."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from tests.cluster.training.program import mistake, saccade
from tests.cluster.using.conftest import Films

from saccade.pipelines.records.only_one import only_one

pytestmark = pytest.mark.slow


def test_parts_are_the_file_in_pieces_and_are_not_done_twice(films: Films, tmp_path: Path) -> None:
    base = ["recommend", films.run, "--data", films.data, "--items", films.table, "--only", "genres=odd"]
    assert saccade(*base, "--output", tmp_path / "next.parquet").code == 0
    split = [*base, "--output", tmp_path / "next", "--part-rows", 100, "--json"]
    done = saccade(*split, "--workers", 2).json
    assert (done["parts"], done["done_before"], done["rows"]) == (3, 0, 300)
    whole = pq.read_table(tmp_path / "next.parquet")
    assert pq.read_table(tmp_path / "next").equals(whole)

    parts = sorted((tmp_path / "next").glob("*.parquet"))
    kept = parts[0].stat().st_mtime_ns
    parts[1].unlink()  # as after a run that was stopped
    (tmp_path / "next" / f".{parts[1].name}.1.writing").touch()
    again = saccade(*split, "--workers", 1).json
    assert (again["parts"], again["done_before"], again["rows"]) == (3, 2, 128)
    assert parts[0].stat().st_mtime_ns == kept
    assert pq.read_table(tmp_path / "next").equals(whole)
    assert not list((tmp_path / "next").glob("*.writing"))

    with only_one(tmp_path / "next", "", ""):
        assert f"is being written by process {os.getpid()}: wait" in mistake(*split, "--workers", 1)
    assert "has parts of another request (top_k: 10 -> 3)" in mistake(*split, "--workers", 1, "--top-k", 3)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "note.txt").touch()
    other = [*base, "--output", tmp_path / "other", "--workers", 1]
    assert "has something else in it" in mistake(*other)
