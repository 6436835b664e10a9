"""The reader over real Parquet files: what is decoded how often, and what is kept of it."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from tests.pipelines.order.test_reader import TASK, steps

from saccade.pipelines.order.lanes import deal_lanes
from saccade.pipelines.order.reader import Reader
from saccade.pipelines.parquet import row_group
from saccade.pipelines.parquet.source import Source

ROOT = Path(__file__).parents[3]
SIZES = [430, 170, 401]  # rows of the files
LANES, WINDOW = 4, 37


@pytest.fixture(params=[50, 1000], ids=["small-row-groups", "large-row-groups"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    rng = torch.Generator().manual_seed(0)
    for number, size in enumerate(SIZES):
        lengths = torch.randint(4, 9, (size,), generator=rng).tolist()
        histories = [torch.randint(1, 60, (n,), generator=rng).tolist() for n in lengths]
        table = pa.table({"history": pa.array(histories, pa.list_(pa.int64()))})
        pq.write_table(table, tmp_path / f"part-{number}.parquet", row_group_size=request.param)
    return tmp_path


def open_reader(folder: Path, rank: int = 0, workers: int = 1) -> Reader:
    source = Source.open(str(folder), None, TASK.columns)
    return Reader(source, TASK, "train", seed=5, lanes=LANES, window=WINDOW, tokens=60, rank=rank, world_size=workers)


Decoded = Counter[tuple[int, int]]


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> Decoded:
    """(rows of the file, row group in it) -> how often it was begun to be decoded."""
    found: Decoded = Counter()
    begin = pq.ParquetFile.iter_batches

    def counted(self: pq.ParquetFile, size: int, groups: list[int], *args: Any, **options: Any) -> Iterator[Any]:
        found.update((self.metadata.num_rows, group) for group in groups)
        return begin(self, size, groups, *args, **options)

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", counted)
    return found


@pytest.mark.parametrize("workers", [1, 2, 4, 3, 6])
def test_a_row_group_is_decoded_once_for_each_lane_in_it(folder: Path, decoded: Decoded, workers: int) -> None:
    rows: list[int] = []
    for rank in range(workers):
        for item in steps(open_reader(folder, rank, workers), epoch=2):
            rows += [row for batch in item.batches for row in batch.rows.tolist()]
    assert sorted(rows) == list(range(sum(SIZES)))
    source = Source.open(str(folder), None, TASK.columns)
    groups = [(group.first_row, group.first_row + group.rows) for group in source.row_groups]
    lanes = deal_lanes(groups, LANES, sum(SIZES), seed=5, epoch=2, shuffle=True)
    expected = Counter(
        (SIZES[group.file], group.index)
        for lane in lanes
        for first, _ in lane.rows(0)
        for group in source.row_groups
        if group.first_row <= first < group.first_row + group.rows
    )
    assert decoded == expected
    assert expected.total() <= len(groups) + LANES - 1


def test_slices_change_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = [batch.rows.tolist() for item in steps(open_reader(folder)) for batch in item.batches]
    monkeypatch.setattr(row_group, "_SLICE_BYTES", 500)
    assert [batch.rows.tolist() for item in steps(open_reader(folder)) for batch in item.batches] == whole


def test_decoded_data_is_freed(folder: Path) -> None:
    before = pa.total_allocated_bytes()
    with closing(open_reader(folder).steps(0)) as stream:
        next(stream)
        assert pa.total_allocated_bytes() > before
    del stream
    assert pa.total_allocated_bytes() == before


def seek(*arguments: str) -> list[dict[str, float]]:
    """What benchmarks/seek.py measures, in processes of its own."""
    command = [sys.executable, "benchmarks/seek.py", "--json", *arguments]
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, timeout=300)
    places: list[dict[str, float]] = json.loads(done.stdout)["places"]
    return places


@pytest.mark.slow
@pytest.mark.parametrize("size", [10_000, 50_000])
def test_seeks_in_a_million_rows_in_a_second_and_200_mb(size: int) -> None:
    # On a busy machine the first try may have to wait for its turn.
    found = seek("--row-group", str(size), "--places", "0.5", "0.5", "0.5")
    assert min(one["open_seconds"] + one["seek_seconds"] for one in found) < 1
    assert max(one["growth_mib"] for one in found) < 200 / 1.048576
    assert min(one["rows"] for one in found) > 0


@pytest.mark.slow
def test_memory_does_not_grow_with_rows_or_row_groups() -> None:
    common = ("--lanes", "2", "--places", "0", "--steps", "0")
    small, large, one_row_group = (
        seek(*common, "--rows", rows, "--row-group", size, "--files", files)[0]
        for rows, size, files in (("50000", "10000", "2"), ("500000", "10000", "2"), ("500000", "500000", "1"))
    )
    assert large["rows"] > 9 * small["rows"]
    # Decoded, 450,000 histories of 20 are 72 MB.
    assert large["growth_mib"] < small["growth_mib"] + 20
    assert one_row_group["growth_mib"] < small["growth_mib"] + 40
