"""A Ray Dataset that is preprocessed, written once, and trained on in the order of its rows."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from tests.pipelines.order.test_reader import TASK, steps
from tests.servers import S3, s3

from saccade.pipelines.batch import Batch
from saccade.pipelines.errors import UserError
from saccade.pipelines.order.reader import Reader
from saccade.pipelines.parquet.schema import Column
from saccade.pipelines.parquet.source import Source

__all__ = ["s3"]
ROWS = 600


@pytest.fixture(autouse=True)
def quiet_data(local_ray: None) -> None:
    import logging

    import ray.data  # noqa: F401

    logging.getLogger("ray.data").setLevel(logging.WARNING)


def history(user: int) -> list[int]:
    return [(user + i) % 50 + 1 for i in range(user % 7 + 4)]


def shift(batch: dict[str, Any]) -> dict[str, Any]:
    """Preprocessing in NumPy, with arrays of one length in some blocks and of several in others."""
    first = int(batch["id"][0])
    time.sleep(0.4 if first == 0 else 0)  # so that later blocks are done earlier
    same = first < ROWS // 2
    lists = [np.array(history(7 * int(user) if same else int(user)), dtype=np.int32) for user in batch["id"]]
    return {"user_id": batch["id"], "history": lists, "other": batch["id"]}


def expected(user: int) -> list[int]:
    return history(7 * user if user < ROWS // 2 else user)


def blocks(*tables: pa.Table) -> Any:
    import ray.data

    return ray.data.from_arrow(list(tables))


def users(first: int, last: int) -> pa.Table:
    return pa.table({"user": pa.array(range(first, last), pa.int32()), "text": [f"u{u}" for u in range(first, last)]})


def write(dataset: Any, path: Path, **options: Any) -> list[pa.Table]:
    from saccade.plugins.ray.dataset import write_dataset

    assert write_dataset(dataset, str(path), **options) == str(path)
    return [pq.read_table(file) for file in sorted(path.glob("*.parquet"))]


def refused(dataset: Any, path: Path, **options: Any) -> str:
    from saccade.plugins.ray.dataset import write_dataset

    with pytest.raises(UserError) as error:
        write_dataset(dataset, str(path), **options)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.fixture(scope="module")
def written(local_ray: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six blocks, the first of which is the last to be done, in files of 250 rows."""
    import ray.data

    path = tmp_path_factory.mktemp("written") / "train"
    dataset = ray.data.range(ROWS, override_num_blocks=6).map_batches(shift)
    assert not dataset.context.execution_options.preserve_order
    write(dataset, path, columns=["user_id", "history"], rows_per_file=250, row_group_size=100)
    assert not dataset.context.execution_options.preserve_order
    return path


def test_rows_are_in_the_datasets_order(written: Path) -> None:
    files = sorted(written.glob("*.parquet"))
    assert [file.name for file in files] == ["part-00000.parquet", "part-00001.parquet", "part-00002.parquet"]
    tables = [pq.read_table(file) for file in files]
    assert [table.num_rows for table in tables] == [250, 250, 100]
    rows = pa.concat_tables(tables)
    assert rows.schema == pa.schema({"user_id": pa.int64(), "history": pa.list_(pa.int64())})
    assert rows["user_id"].to_pylist() == list(range(ROWS))
    assert rows["history"].to_pylist() == [expected(user) for user in range(ROWS)]


def test_files_are_as_the_reader_likes_them(written: Path) -> None:
    for file in written.glob("*.parquet"):
        metadata = pq.read_metadata(file)
        assert {metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)} <= {100, 50}
        assert metadata.row_group(0).column(0).compression == "ZSTD"
        assert metadata.row_group(0).column(1).statistics.has_min_max
    # Page checksums: a flipped bit is found.
    file = written / "part-00000.parquet"
    column = pq.read_metadata(file).row_group(0).column(1)
    content = bytearray(file.read_bytes())
    content[(column.dictionary_page_offset or column.data_page_offset) + column.total_compressed_size - 1] ^= 1
    with pytest.raises(OSError, match="CRC"):
        pq.ParquetFile(pa.BufferReader(content), page_checksum_verification=True).read()


def test_one_rank_and_two_train_on_the_same_rows(written: Path) -> None:
    def lanes(rank: int, ranks: int) -> dict[int, list[Batch]]:
        """Lane -> its micro-batches."""
        source = Source.open(str(written), "train", TASK.columns)
        one = Reader(source, TASK, "train", seed=3, lanes=2, window=64, tokens=80, rank=rank, world_size=ranks)
        found: dict[int, list[Batch]] = {lane: [] for lane in one.mine}
        for step in steps(one):
            for lane, batch in zip(one.mine, step.batches, strict=True):
                if len(batch.rows):  # a lane that has run dry gives empty ones
                    found[lane].append(batch)
        return found

    alone, together = lanes(0, 1), lanes(0, 2) | lanes(1, 2)
    for lane, batches in alone.items():
        for here, there in zip(batches, together[lane], strict=True):
            assert torch.equal(here.rows, there.rows)
            assert all(torch.equal(here.lookups[name], there.lookups[name]) for name in here.lookups)
    rows = torch.cat([batch.rows for batches in alone.values() for batch in batches])
    assert sorted(rows.tolist()) == list(range(ROWS))


def test_files_depend_on_the_rows_alone(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    write(blocks(users(0, 30)), one, rows_per_file=12)
    tables = write(blocks(users(0, 5), users(5, 5), users(5, 13), users(13, 30)), other, rows_per_file=12)
    assert [table.num_rows for table in tables] == [12, 12, 6]
    for file in one.iterdir():
        assert file.read_bytes() == (other / file.name).read_bytes()


def test_sorted(tmp_path: Path) -> None:
    (table,) = write(blocks(users(20, 30), users(0, 20)), tmp_path / "data", sort=["user"])
    assert table["user"].to_pylist() == list(range(30))


def test_a_version_is_written_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from saccade.plugins.ray import dataset as module

    path = tmp_path / "data"
    write(blocks(users(0, 10)), path, version="monday")
    before = {file.name: file.stat().st_mtime_ns for file in path.iterdir()}
    with monkeypatch.context() as patch:
        patch.setattr(module, "_write", lambda *_: pytest.fail("executed again"))
        write(blocks(users(0, 10)), path, version="monday")
    assert {file.name: file.stat().st_mtime_ns for file in path.iterdir()} == before
    assert "was written with version='monday'" in refused(blocks(users(0, 5)), path, version="tuesday")
    assert "rows_per_file=500000" in refused(blocks(users(0, 5)), path, version="monday", rows_per_file=3)
    assert "overwrite=True" in refused(blocks(users(0, 5)), path)
    (table,) = write(blocks(users(0, 5)), path, version="tuesday", overwrite=True)
    assert table.num_rows == 5
    assert json.loads((path / "_manifest.json").read_text())["rows"] == 5
    (path / "part-00000.parquet").unlink()
    assert "its files aren't those that were written" in refused(blocks(users(0, 5)), path, version="tuesday")


def test_without_a_version_nothing_is_reused(tmp_path: Path) -> None:
    write(blocks(users(0, 10)), tmp_path / "data")
    assert "without a version" in refused(blocks(users(0, 10)), tmp_path / "data")


def test_a_write_that_was_killed_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "data"
    write(blocks(users(0, 10)), path, rows_per_file=5, version="monday")
    (path / "_manifest.json").unlink()
    (path / "part-00001.parquet").unlink()
    (path / "_UNFINISHED").touch()
    assert "is unfinished" in refused(blocks(users(0, 10)), path, rows_per_file=5, version="monday")
    for place in (path, tmp_path):
        with pytest.raises(UserError, match="is unfinished .*_UNFINISHED"):
            Source.open(str(place), None, [Column("user", "integer")])
    assert len(write(blocks(users(0, 10)), path, rows_per_file=5, overwrite=True)) == 2
    assert Source.open(str(path), None, [Column("user", "integer")]).rows == 10


def test_what_others_wrote_is_never_deleted(tmp_path: Path) -> None:
    (tmp_path / "thesis.parquet").write_text("years of work")
    assert "didn't write" in refused(blocks(users(0, 10)), tmp_path, overwrite=True)
    assert (tmp_path / "thesis.parquet").read_text() == "years of work"


def test_mistakes_leave_an_empty_folder(tmp_path: Path) -> None:
    path = tmp_path / "data"
    other = users(0, 10).set_column(0, "user", pa.array(["a"] * 10))
    assert "no column 'nobody'" in refused(blocks(users(0, 10)), path, columns=["nobody"])
    assert "don't agree on a column's type" in refused(blocks(users(0, 10), other), path)
    assert "part-00001.parquet: " in refused(blocks(users(0, 10), other), path, rows_per_file=10)
    assert "rows here have the columns user, others" in refused(
        blocks(users(0, 10), users(0, 5).select(["user"])), path
    )
    assert "no rows" in refused(blocks(users(0, 0)), path)
    assert list(path.iterdir()) == []
    assert "can't be written" in refused(blocks(users(0, 10)), Path("/proc/saccade"))


def test_errors_of_the_preprocessing_are_its_own(tmp_path: Path) -> None:
    def fails(batch: dict[str, Any]) -> dict[str, Any]:
        raise ZeroDivisionError("mine")

    with pytest.raises(Exception, match="ZeroDivisionError"):
        write(blocks(users(0, 10)).map_batches(fails), tmp_path / "data")
    assert list((tmp_path / "data").iterdir()) == []


def test_objects_and_matrices_are_refused(tmp_path: Path) -> None:
    import ray.data

    matrices = ray.data.from_numpy(np.zeros((3, 2, 2)))
    assert "column 'data' holds arrays of 2 dimensions" in refused(matrices, tmp_path / "data")


def test_plain_types() -> None:
    from saccade.plugins.ray.plain_table import plain_table

    table = pa.table(
        {
            "a": pa.array([1, 2], pa.uint8()),
            "b": pa.array([[1], []], pa.large_list(pa.int16())),
            "c": pa.array(["x", "y"]).dictionary_encode(),
            "d": pa.array([1.5, 2.5], pa.float32()),
            "e": pa.array([[[1], []], []], pa.list_(pa.list_(pa.int8()))),
            "f": pa.array([b"x", None], pa.large_binary()),
        }
    )
    plain = plain_table(table, None)
    assert plain.to_pydict() == table.to_pydict()
    lists = pa.list_(pa.int64())
    assert plain.schema.types == [pa.int64(), lists, pa.string(), pa.float32(), pa.list_(lists), pa.binary()]
    with pytest.raises(UserError, match="column 'a'"):
        plain_table(pa.table({"a": pa.array([2**63], pa.uint64())}), None)


def test_to_an_object_store(s3: S3) -> None:
    from saccade.plugins.ray.dataset import write_dataset

    s3.filesystem.create_dir("rays")
    address = s3.uri("rays/data/train").replace("s3://", "s3://loopback:secret@")
    assert write_dataset(blocks(users(0, 30)), address, rows_per_file=12, version="a") == address
    source = Source.open(s3.uri("rays/data"), "train", [Column("user", "integer")])
    assert source.found.names == ("part-00000.parquet", "part-00001.parquet", "part-00002.parquet")
    found = source.read(0, 30).columns["user"]
    assert isinstance(found, torch.Tensor)
    assert found.tolist() == list(range(30))
    write_dataset(blocks(users(0, 30)), address, rows_per_file=12, version="a")
    with pytest.raises(UserError, match="^s3://rays/data/train: was written with version='a'"):
        write_dataset(blocks(users(0, 30)), address, rows_per_file=12, version="b")
    write_dataset(blocks(users(0, 9)), address, overwrite=True)
    assert Source.open(s3.uri("rays/data"), "train", [Column("user", "integer")]).rows == 9
