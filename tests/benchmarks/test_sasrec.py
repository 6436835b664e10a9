"""The benchmark beside RecTools counts what is trained, and its contestants wait for their turns."""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path
from types import ModuleType

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

ROOT = Path(__file__).parents[2]
SMALL = argparse.Namespace(dim=8, blocks=1, heads=1, hidden=None, dropout=0.1, users=16, threads=1)


@pytest.fixture
def sasrec(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module("sasrec")


def test_only_what_leave_one_out_trains_on_counts(sasrec: ModuleType, tmp_path: Path) -> None:
    histories = [[1, 2, 3, 4, 5, 6, 7], [8, 9, 10], [], [11, 12, 13, 14]]
    (tmp_path / "train").mkdir()
    table = pa.table({"history": pa.array(histories, pa.list_(pa.int64()))})
    pq.write_table(table, tmp_path / "train" / "part-0.parquet")
    found = sasrec.Histories.read("some", tmp_path, max_length=3, micro_batches=1)
    assert found.lengths.tolist() == [5, 2]
    assert found.items.tolist() == [1, 2, 3, 4, 5, 11, 12]
    assert found.positions == 3 + 1  # of the first history only the latest four items are seen
    assert found.rows == 15


@pytest.mark.slow
@pytest.mark.parametrize(("engine", "workers"), [("reference", 1), ("hybrid", 2)])
def test_a_contestant_trains_whenever_it_is_its_turn(
    sasrec: ModuleType, tmp_path: Path, engine: str, workers: int
) -> None:
    sasrec.write_histories(tmp_path, users=200, items=50, clusters=5, mean_length=8, seed=0, files=1)
    histories = sasrec.Histories.read("short", tmp_path, 50, micro_batches=2)
    epoch = len(histories.lengths) / SMALL.users
    with sasrec.contest(SMALL, histories, "") as made:
        contestant = made.of_saccade("BCE", engine, workers=workers)
        assert contestant.wait()["threads"] == 1
        for steps in (2, round(3 * epoch)):  # also across the ends of epochs
            contestant.turn(steps)
    assert len(contestant.rates) == 2
    assert min(contestant.rates) > 0
    # Whole epochs, but for where they are cut.
    assert contestant.users[1] == pytest.approx(SMALL.users, rel=0.2)
