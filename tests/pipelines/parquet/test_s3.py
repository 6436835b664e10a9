"""Rows from a real S3 server, near and through a bad line, are those of the local files."""

import io
import pickle
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from tests.pipelines.order.test_reader import TASK, essence, steps
from tests.servers import S3, Proxy, Served, s3

from saccade.pipelines.errors import UserError
from saccade.pipelines.order.reader import Reader
from saccade.pipelines.parquet import retry
from saccade.pipelines.parquet.files import find_files, splits
from saccade.pipelines.parquet.retry import Patience, RemoteError
from saccade.pipelines.parquet.source import Source

__all__ = ["s3"]
SIZES = [330, 170, 301]  # rows of the files
BUCKET = "histories"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("histories")
    for number, size in enumerate(SIZES):
        histories = [[(number + row + i) * 7 % 59 + 1 for i in range(4 + row % 5)] for row in range(size)]
        path = folder / f"train/day={number % 2}/part-{number}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        table = pa.table({"history": pa.array(histories, pa.list_(pa.int64())), "user": list(range(size))})
        pq.write_table(table, path, row_group_size=40)
    for other in ("train/_SUCCESS", "valid/part-0.parquet", "notes.txt"):
        (folder / other).parent.mkdir(exist_ok=True)
        (folder / other).write_bytes(b"")
    return folder


@pytest.fixture(scope="module")
def bucket(s3: S3, folder: Path) -> S3:
    s3.put(folder, BUCKET)
    return s3


@pytest.fixture
def line(bucket: S3) -> Iterator[Proxy]:
    """A line to the server that spoils nothing, unless it is told to."""
    proxy = Proxy(bucket.address, 0.0)
    yield proxy
    proxy.stop()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits are a tenth of what they are."""
    monkeypatch.setattr(retry, "PATIENCE", Patience(first_wait=0.02, longest_wait=0.2))


def reader(path: str, rank: int = 0, workers: int = 1) -> Reader:
    source = Source.open(path, "train", TASK.columns)
    return Reader(source, TASK, "train", seed=5, lanes=4, window=37, tokens=60, rank=rank, world_size=workers)


def test_names_splits_and_fingerprint_are_those_of_the_local_files(bucket: S3, folder: Path) -> None:
    here, there = (Source.open(path, "train", TASK.columns) for path in (str(folder), bucket.uri(BUCKET)))
    assert there.found.names == here.found.names
    assert there.fingerprint == here.fingerprint
    assert there.where(331) == f"s3://{BUCKET}/train/{here.found.names[1]} row 1"
    assert splits(bucket.uri(BUCKET)) == ["train", "valid"]
    found = find_files(bucket.uri(f"{BUCKET}/train/*/part-[02].parquet")).names
    assert found == ("day=0/part-0.parquet", "day=0/part-2.parquet")
    one = find_files(bucket.uri(f"{BUCKET}/train/day=1/part-1.parquet"))
    assert one.shown(one.names[0]) == f"s3://{BUCKET}/train/day=1/part-1.parquet"


def test_the_endpoint_may_be_in_the_environment(bucket: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://{bucket.address}")
    assert len(find_files(f"s3://{BUCKET}/train").names) == 3


def test_a_source_goes_to_another_process(bucket: S3, folder: Path) -> None:
    source = pickle.loads(pickle.dumps(Source.open(bucket.uri(BUCKET), "train", TASK.columns)))
    here = Source.open(str(folder), "train", TASK.columns)
    assert source.read(300, 400).columns["history"].values.equal(here.read(300, 400).columns["history"].values)


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_order_and_resume_through_a_line_that_fails_5_percent(
    line: Proxy, bucket: S3, folder: Path, workers: int, impatient: None
) -> None:
    line.share, uri = 0.05, bucket.uri(BUCKET, line.address)
    for rank in range(workers):
        here, there = steps(reader(str(folder), rank, workers)), steps(reader(uri, rank, workers))
        assert [[essence(b) for b in item.batches] for item in there] == [
            [essence(b) for b in item.batches] for item in here
        ]
        assert [item.after for item in there] == [item.after for item in here]
        middle = len(here) // 2
        rest = steps(reader(uri, rank, workers), start=here[middle].after)
        assert [[essence(b) for b in item.batches] for item in rest] == [
            [essence(b) for b in item.batches] for item in here[middle + 1 :]
        ]
    assert len(line.faults) > 1


def test_every_kind_of_fault_is_survived(line: Proxy, bucket: S3, folder: Path, impatient: None) -> None:
    name = "day=0/part-0.parquet"
    line.share = 0.4
    files = find_files(bucket.uri(f"{BUCKET}/train", line.address))
    expected = (folder / "train" / name).read_bytes()
    for _ in range(3):
        with files.open(name) as file:
            assert file.size() == len(expected)
            found = b"".join(file.read_at(min(900, len(expected) - at), at) for at in range(0, len(expected), 900))
            assert found == expected
            file.seek(5)
            assert (file.read(3), file.tell(), file.read()) == (expected[5:8], 8, expected[8:])
    assert set(line.faults) == {"", "500", "503", "reset", "cut", "delay"}


def test_what_is_expected_is_fetched_meanwhile_and_once(line: Proxy, bucket: S3, folder: Path) -> None:
    source = Source.open(bucket.uri(BUCKET, line.address), "train", TASK.columns)
    cursor = source.cursor()
    cursor.read(0, 20)
    cursor.expect(20)  # of the row group that is open
    asked = len(line.requests)
    cursor.expect(40)
    cursor.read(20, 40)
    until = time.monotonic() + 10
    while len(line.requests) < asked + 2 and time.monotonic() < until:
        time.sleep(0.01)
    assert len(line.requests) == asked + 2  # its size and its bytes
    found = cursor.read(40, 80)
    assert len(line.requests) == asked + 2
    there = Source.open(str(folder), "train", TASK.columns).read(40, 80)
    assert torch.equal(found.columns["history"].values, there.columns["history"].values)


def test_an_epoch_asks_for_each_row_group_once(line: Proxy, bucket: S3) -> None:
    path = bucket.uri(BUCKET, line.address)
    source = Source.open(path, "train", TASK.columns)
    asked = len(line.requests)
    found = steps(Reader(source, TASK, "train", seed=5, lanes=1, window=37, tokens=60, rank=0, world_size=1))
    assert sum(len(batch.rows) for step in found for batch in step.batches) == sum(SIZES)
    assert len(line.requests) - asked == 2 * len(source.row_groups)


def test_a_server_that_dies_in_the_middle_is_one_error(line: Proxy, bucket: S3, impatient: None) -> None:
    source = Source.open(bucket.uri(BUCKET, line.address), "train", TASK.columns)
    cursor = source.cursor()
    cursor.read(0, 40)
    line.dead_after = len(line.requests)
    start = time.monotonic()
    with pytest.raises(UserError) as error:
        cursor.read(360, 400)
    assert time.monotonic() - start < 10
    text = str(error.value)
    assert "\n" not in text
    assert all(part in text for part in ("day=0/part-2.parquet", "row group 0", "8 attempts", "onnection"))


def test_a_server_that_is_down_is_one_error_in_bounded_time(bucket: S3) -> None:
    gone = Served(None)
    gone.stop()
    start = time.monotonic()
    with pytest.raises(
        UserError, match=r"^s3://histories/train: can't be looked at after 8 attempts in \d+ s \(.*onnect"
    ):
        find_files(bucket.uri(f"{BUCKET}/train", gone.address))
    assert time.monotonic() - start < 30


def test_access_denied_is_told_at_once(bucket: S3, line: Proxy) -> None:
    with bucket.strict(), pytest.raises(UserError) as error:
        find_files(bucket.uri(f"{BUCKET}/train", line.address))
    assert str(error.value) == (
        f"s3://{BUCKET}/train: can't be looked at after 1 attempt "
        "(access denied: check the credentials and what they may read)"
    )
    assert len(line.requests) <= 2


def test_a_missing_bucket_and_a_missing_file_are_told_at_once(bucket: S3, line: Proxy) -> None:
    for path, text in (
        ("nowhere/train", "s3://nowhere/train: can't be looked at after 1 attempt (no such bucket)"),
        ("nowhere/*.parquet", "s3://nowhere/*.parquet: can't be looked at after 1 attempt (no such bucket)"),
        (f"{BUCKET}/tain", f"s3://{BUCKET}/tain: no such file or folder: check the path (in a job, data.path)"),
    ):
        with pytest.raises(UserError) as error:
            find_files(bucket.uri(path, line.address))
        assert str(error.value) == text
    assert len(line.requests) < 15


def test_a_file_that_has_gone_is_told_at_once(bucket: S3, line: Proxy) -> None:
    files = find_files(bucket.uri(f"{BUCKET}/train", line.address))
    asked = len(line.requests)
    with pytest.raises(RemoteError, match=r"s3://histories/train/gone.parquet: can't be read after 1 attempt"):
        files.open("gone.parquet").read()
    assert len(line.requests) <= asked + 2


def test_keys_stay_out_of_messages(bucket: S3) -> None:
    with pytest.raises(UserError) as error:
        find_files(bucket.uri(f"key:secret@{BUCKET}/tain"))
    assert str(error.value).startswith(f"s3://{BUCKET}/tain: no such file")


def test_an_unknown_option_is_named(bucket: S3) -> None:
    with pytest.raises(UserError, match=r"s3://histories/train: has no option 'regoin': known are region, "):
        find_files(f"{bucket.uri(f'{BUCKET}/train')}&regoin=eu-west-1")


def test_whole_files_are_read_as_they_are(bucket: S3, folder: Path) -> None:
    files = find_files(bucket.uri(f"{BUCKET}/train"))
    for name in files.names:
        assert pq.read_table(io.BytesIO(files.open(name).read())).equals(pq.read_table(folder / "train" / name))
