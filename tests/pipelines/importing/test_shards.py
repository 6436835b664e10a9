"""A data set is there as a whole or not at all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.pipelines.importing.history_import import import_file

from saccade.pipelines.errors import UserError
from saccade.pipelines.importing.shards import ShardWriter, staged


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(0, 9), min_size=1, max_size=12), st.integers(1, 9), st.integers(1, 9))
def test_how_rows_come_makes_no_difference(
    tmp_path: Path, sizes: list[int], rows_per_file: int, row_group_size: int
) -> None:
    total = sum(sizes)
    with staged(tmp_path / "out", overwrite=True) as folder:
        first = 0
        with ShardWriter(folder / "train", rows_per_file=rows_per_file, row_group_size=row_group_size) as writer:
            for size in sizes:
                writer.write(pa.table({"x": pa.array(range(first, first + size), pa.int64())}))
                first += size
    if not total:
        assert not (tmp_path / "out" / "train").exists()
        return
    files = sorted((tmp_path / "out" / "train").iterdir())
    assert [file.name for file in files] == [f"part-{number:05}.parquet" for number in range(len(files))]
    assert [value for file in files for value in pq.read_table(file)["x"].to_pylist()] == list(range(total))
    metadata = [pq.read_metadata(file) for file in files]
    assert [m.num_rows for m in metadata] == [min(rows_per_file, total - at) for at in range(0, total, rows_per_file)]
    for m in metadata:
        groups = [m.row_group(i).num_rows for i in range(m.num_row_groups)]
        assert set(groups[:-1]) <= {min(row_group_size, rows_per_file)}
        assert m.row_group(0).column(0).statistics.has_min_max


def test_an_error_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), staged(tmp_path / "out") as folder:
        (folder / "no" / "folder").write_text("half")
    assert not list(tmp_path.iterdir())


def test_what_is_there_stays_until_the_new_is_whole(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine").write_text("data")
    with pytest.raises(UserError, match=r"has something in it \(mine\).*--overwrite"), staged(out):
        pass
    with pytest.raises(RuntimeError), staged(out, overwrite=True):
        raise RuntimeError
    assert (out / "mine").read_text() == "data"
    with staged(out, overwrite=True) as folder:
        (folder / "new").write_text("data")
        assert (out / "mine").exists()
    assert [path.name for path in out.iterdir()] == ["new"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_destination_that_is_a_file_or_out_of_reach(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("data")
    with pytest.raises(UserError, match="is a file"), staged(tmp_path / "file"):
        pass
    with pytest.raises(UserError, match="can't be written"), staged(tmp_path / "file" / "below"):
        pass


def test_two_at_once(tmp_path: Path) -> None:
    with staged(tmp_path / "out") as folder:
        with pytest.raises(UserError, match="another process is writing it"), staged(tmp_path / "out"):
            pass
        (folder / "file").write_text("data")
    assert (tmp_path / "out" / "file").exists()


def test_a_full_disk_is_an_error_that_leaves_nothing(tmp_path: Path) -> None:
    """A limit on the size of files stands for the disk."""
    source = tmp_path / "events.csv"
    source.write_text("user_id,item_id\n" + "".join(f"u{n},i{n % 997}\n" for n in range(20_000)))
    code = (
        "import resource, sys; from saccade.cluster.cli.main import main; "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)); main(sys.argv[1:])"
    )
    command = [sys.executable, "-c", code, "data", "import", "csv", str(source), str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert done.stderr.splitlines()[-1].startswith(f"error: {tmp_path / 'out'}: can't be written")
    assert "Traceback" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["events.csv"]


def test_a_killed_import_leaves_no_data_set_and_the_next_one_works(tmp_path: Path) -> None:
    source, out = tmp_path / "events.csv", tmp_path / "out"
    with source.open("w") as file:
        file.write("user_id,item_id\n")
        file.writelines(f"u{n * 7919 % 20011},i{n % 997}\n" for n in range(400_000))
    command = [sys.executable, "-m", "saccade.cluster.cli.main", "data", "import", "csv", str(source), str(out)]
    spilled = tmp_path / ".out.importing" / ".scratch" / "read.arrow"
    with subprocess.Popen(command) as process:
        while not spilled.exists():
            assert process.poll() is None
            time.sleep(0.005)
        os.kill(process.pid, signal.SIGKILL)
    assert not out.exists()
    assert spilled.exists()
    found = import_file("csv", source, out)
    assert found.statistics["interactions"] == 400_000
    assert sorted(path.name for path in tmp_path.iterdir()) == ["events.csv", "out"]
    assert not list(out.rglob(".*"))
