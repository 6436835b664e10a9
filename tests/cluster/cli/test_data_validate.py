"""Whatever a training refuses, `saccade data validate` names too; and more than the first fault."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.servers import S3, s3

from saccade.cluster.cli.main import run

__all__ = ["s3"]

COMMON = """\
train: {epochs: 1, micro_batches: 1, tokens: 64}
engine: {name: reference, device: cpu}
"""
JOBS = {
    "histories": "task: next_item\ndata: {path: nowhere}\nmodel: {dim: 8, blocks: 1, heads: 1, hidden: 8}\n" + COMMON,
    "texts": "task: text_classification\ndata: {path: nowhere}\nmodel: {dim: 8, blocks: 1, heads: 1, hidden: 8}\n"
    + COMMON,
    "sounds": (
        "task: speech_classification\ndata: {path: nowhere}\nmodel: {dim: 8, blocks: 1, heads: 1, hidden: 8}\n" + COMMON
    ),
}

Change = Callable[[Path], object]


def write(path: Path, columns: dict[str, Any], metadata: dict[str, str] | None = None, size: int = 4) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.table(columns).replace_schema_metadata(metadata)
    pq.write_table(table, path, row_group_size=size, write_page_checksum=True)
    return path


def histories(folder: Path, changes: dict[int, Any] | None = None, file: int = 1, name: str = "history") -> Path:
    """Two files of 12 histories each; some rows of one are changed."""
    for number in (0, 1):
        rows = [[1 + (row + i) % 9 for i in range(6)] for row in range(12)]
        for row, value in (changes or {}).items() if number == file else ():
            rows[row] = value
        kept = name if number == file else "history"
        write(folder / f"part-{number}.parquet", {"user": range(12), kept: pa.array(rows, pa.list_(pa.int64()))})
    return folder / f"part-{file}.parquet"


def labelled(
    folder: Path, example: str, split: str = "train", labels: tuple[Any, ...] = (0, 1, 1, 0), **options: Any
) -> Path:
    """A file a split with a text or a recording for each label; the labels of one split are given."""
    path = folder
    for name in ("train", "valid", "test"):
        used = labels if name == split else (0, 1, 1, 0)
        given = options if name == split else {}
        values = ["some words here", "other words there"] * (len(used) // 2)
        cells = pa.array(values if example == "text" else [[0.1] * 800] * len(used))
        columns = {example: cells, "label": pa.array(used, pa.int64())}
        if rate := given.get("rate"):
            columns["sampling_rate"] = pa.array([rate] * len(used))
        metadata = {"label_names": given["names"]} if "names" in given else None
        written = write(folder / name / "part-0.parquet", columns, metadata)
        path = written if name == split else path
    return path


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def damage(path: Path) -> None:
    """Flip the last bit of the last row group: only the checksum tells."""
    metadata = pq.read_metadata(path)
    column = metadata.row_group(metadata.num_row_groups - 1).column(1)
    content = bytearray(path.read_bytes())
    content[(column.dictionary_page_offset or column.data_page_offset) + column.total_compressed_size - 1] ^= 1
    path.write_bytes(content)


def twice(folder: Path) -> None:
    table = pq.read_table(histories(folder))
    pq.write_table(table.append_column("history", table["history"]), folder / "part-1.parquet")


def typed(folder: Path, values: pa.Array) -> None:
    histories(folder)
    write(folder / "part-1.parquet", {"user": range(len(values)), "history": values})


LOOKUP = "data.transforms=[{name: lookup, column: history, file: %s, unknown: error}]"


def looked_up(folder: Path) -> None:
    histories(folder / "train", {7: [1, 2, 3, 400]})
    write(folder / "vocabulary.parquet", {"id": range(1, 10), "value": range(1, 10), "count": [1] * 9})


# What is wrong: the job's name, what makes the data, keys of the job, and what both commands say of it.
FAULTS: dict[str, tuple[str, Change, list[str], list[str]]] = {
    "no files": ("histories", lambda f: f.mkdir(), [], ["holds no .parquet files"]),
    "not Parquet": ("histories", lambda f: histories(f).write_text("user,history"), [], ["part-1.parquet", "not a"]),
    "an empty file": ("histories", lambda f: histories(f).write_bytes(b""), [], ["part-1.parquet", "an empty file"]),
    "cut short": ("histories", lambda f: truncate(histories(f)), [], ["part-1.parquet", "cut short"]),
    "a flipped bit": ("histories", lambda f: damage(histories(f)), [], ["part-1.parquet", "row group 2", "CRC"]),
    "an unfinished folder": ("histories", lambda f: (histories(f), (f / "_UNFINISHED").touch()), [], ["unfinished"]),
    "missing": ("histories", lambda f: histories(f, name="items"), [], ["part-1.parquet", "no column 'history'"]),
    "twice": ("histories", twice, [], ["part-1.parquet", "2 columns are named 'history'"]),
    "text": ("histories", lambda f: typed(f, pa.array(["a", "b"])), [], ["part-1.parquet", "string, but list of int"]),
    "no lists": ("histories", lambda f: typed(f, pa.array([1, 2])), [], ["part-1.parquet", "int64, but list of int"]),
    "no rows": ("histories", lambda f: write(f / "a.parquet", {"history": pa.array([], pa.list_(pa.int64()))}), [], []),
    "a null": ("histories", lambda f: histories(f, {7: None}), [], ["part-1.parquet row 7", "has a null"]),
    "a null in a list": (
        "histories",
        lambda f: histories(f, {7: [1, None]}),
        [],
        ["part-1.parquet row 7", "has a null"],
    ),
    "a negative id": ("histories", lambda f: histories(f, {7: [1, 2, 3, -4]}), [], ["part-1.parquet row 7", "id -4"]),
    "a large id": (
        "histories",
        lambda f: histories(f, {7: [1, 2, 3, 10]}),
        ["tables.items.rows=10"],
        ["part-1.parquet row 7", "item id 10", "has 10 rows", "raise tables.items.rows"],
    ),
    "too short": ("histories", lambda f: write(f / "a.parquet", {"history": [[1, 2, 3]] * 9}), [], ["4 items or more"]),
    "filtered": ("histories", histories, ["data.filter=[{column: user, operator: '>', value: 50}]"], ["no row passes"]),
    "no filter": (
        "histories",
        histories,
        ["data.filter=[{column: age, operator: '>', value: 5}]"],
        ["no column 'age'"],
    ),
    "no such transform": (
        "histories",
        histories,
        ["data.transforms=[{name: take, column: it, to: history, last: 5}]"],
        [],
    ),
    "transformed": ("histories", looked_up, ["LOOKUP"], ["part-1.parquet", "400"]),
    "no vocabulary": ("histories", histories, [LOOKUP % "nowhere.parquet"], ["nowhere.parquet"]),
    "a missing text": ("texts", lambda f: labelled(f, "words"), [], ["train/part-0.parquet", "no column 'text'"]),
    "a negative label": (
        "texts",
        lambda f: labelled(f, "text", labels=(0, -1)),
        [],
        ["train/part-0.parquet row 1", "-1"],
    ),
    "one class": ("texts", lambda f: labelled(f, "text", labels=(1, 1)), [], ["every label in column 'label' is 1"]),
    "no name": (
        "texts",
        lambda f: labelled(f, "text", labels=(0, 5), names='["a", "b"]'),
        [],
        ["row 1", "label_names"],
    ),
    "bad names": ("texts", lambda f: labelled(f, "text", names="a, b"), [], ["label_names", "no JSON list of names"]),
    "an unknown label": (
        "texts",
        lambda f: labelled(f, "text", "valid", (0, 1, 2, 0)),
        [],
        ["valid/part-0.parquet row 2", "label 2, but training knows labels 0..1"],
    ),
    "a split of another kind": (
        "texts",
        lambda f: write(labelled(f, "text", "test"), {"text": [1, 2], "label": [0, 1]}),
        [],
        ["test/part-0.parquet", "int64, but string"],
    ),
    "no words": ("texts", lambda f: write(f / "a.parquet", {"text": ["", ""], "label": [0, 1]}), [], ["holds no text"]),
    "no train": ("texts", lambda f: write(f / "test" / "a.parquet", {"text": ["a"], "label": [0]}), [], ["train/"]),
    "another rate": (
        "sounds",
        lambda f: labelled(f, "audio", rate=16000),
        [],
        ["train/part-0.parquet", "16000", "data.sampling_rate"],
    ),
    "no sound": ("sounds", lambda f: labelled(f, "text"), [], ["train/part-0.parquet", "no column 'audio'"]),
}


def job_file(folder: Path, name: str) -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(JOBS[name])
    return path


@pytest.mark.parametrize("name", FAULTS)
def test_what_training_refuses_is_named(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    task, make, overrides, words = FAULTS[name]
    data, job = tmp_path / "data", str(job_file(tmp_path, task))
    make(data)
    overrides = [LOOKUP % (data / "vocabulary.parquet") if key == "LOOKUP" else key for key in overrides]
    train = run(["train", job, f"data.path={data}", f"run.storage={tmp_path / 'runs'}", *overrides])
    refused = capsys.readouterr().err.splitlines()[-1]
    assert (train, refused[:7]) == (2, "error: ")
    assert run(["data", "validate", str(data), "--job", job, *overrides]) == 1
    faults = [line for line in capsys.readouterr().out.splitlines() if line.startswith("fault: ")]
    assert all(str(data) in line for line in faults)
    for word in words:
        assert word in refused
        assert any(word in line for line in faults), (word, faults)


def test_good_data_has_no_faults(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for task, make in {
        "histories": histories,
        "texts": lambda folder: labelled(folder, "text"),
        "sounds": lambda folder: labelled(folder, "audio", rate=8000),
    }.items():
        data = tmp_path / task / "data"
        make(data)
        for quick in ([], ["--quick"]):
            assert run(["data", "validate", str(data), "--job", str(job_file(tmp_path, task)), *quick]) == 0
            assert capsys.readouterr().out.splitlines()[-1] == "no faults"


def test_all_faults_are_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "data"
    histories(data, {2: [-1, 2, 3, 4], 3: None, 5: [-7, -8], 11: [1, 50, 1, 1]}, file=0)
    damage(data / "part-1.parquet")
    write(data / "part-2.parquet", {"items": [[1, 2, 3, 4]]})
    job = str(job_file(tmp_path, "histories"))
    command = ["data", "validate", str(data), "--job", job, "tables.items.rows=20", "--json"]
    assert run(command) == 1
    captured = capsys.readouterr()
    found = json.loads(captured.out)
    assert found["good"] is False
    assert found["splits"] == {"train": {"files": 3, "row_groups": 7, "rows": 20}}
    faults = [(Path(f["file"]).name, f["kind"], f["unit"], f["places"], f["count"]) for f in found["faults"]]
    assert sorted(faults) == [
        ("part-0.parquet", "id outside its table", "row", [11], 1),
        ("part-0.parquet", "negative id", "row", [2, 5], 2),
        ("part-0.parquet", "null", "row", [3], 1),
        ("part-1.parquet", "damaged", "row group", [2], 1),
        ("part-2.parquet", "column", None, [], 1),
    ]
    assert [(f["kind"], f["places"]) for f in found["warnings"]] == [("too short", [5])]
    assert run([*command[:-1], "--quick"]) == 1
    quick = capsys.readouterr().out
    assert "part-0.parquet: 2 row groups (0, 1), the first: column 'history' has item id -1" in quick
    assert "5 faults" not in quick


def test_files_with_the_same_fault_share_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "data"
    for number in range(5):
        write(data / f"part-{number}.parquet", {"items": [[1, 2, 3, 4]]})
    assert run(["data", "validate", str(data), "--job", str(job_file(tmp_path, "histories"))]) == 1
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("fault: ")]
    assert "part-0.parquet: no column 'history'" in line
    assert line.endswith("(and 4 more files)")


def test_what_may_stay_is_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "data"
    histories(data, {1: [], 2: [1, 2, 3]})
    pq.write_table(pq.read_table(data / "part-0.parquet"), data / "part-0.parquet")
    job = str(job_file(tmp_path, "histories"))
    assert run(["data", "validate", str(data), "--job", job, "train.micro_batches=8"]) == 0
    out = capsys.readouterr().out
    assert "fault" not in out.replace("0 faults", "")
    assert "part-1.parquet: 2 rows (1, 2), the first: column 'history' has fewer than 4 values" in out
    assert "part-0.parquet: its pages have no checksums" in out
    assert "4 row groups are read as 8 parts at once" in out
    assert "0 faults, 3 warnings" in out
    write(tmp_path / "texts" / "a.parquet", {"text": ["a word", "", "a word"], "label": [0, 1, 1]})
    assert run(["data", "validate", str(tmp_path / "texts"), "--job", str(job_file(tmp_path, "texts"))]) == 0
    out = capsys.readouterr().out
    assert "there is no valid/ folder" in out
    assert "there is no test/ folder" in out
    assert "a.parquet row 1: column 'text' is empty" in out


def test_the_path_may_be_the_jobs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    histories(tmp_path / "data")
    job = job_file(tmp_path, "histories")
    assert run(["data", "validate", "--job", str(job), f"data.path={tmp_path / 'data'}"]) == 0
    assert run(["data", "validate", "--job", str(job)]) == 2
    assert "nowhere: no such file or folder" in capsys.readouterr().err


def test_lookups_and_hashes_are_applied(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [[f"item {i % 5}" for i in range(row % 3 + 4)] for row in range(20)]
    write(tmp_path / "data" / "a.parquet", {"history": rows})
    job = str(job_file(tmp_path, "histories"))
    command = ["data", "validate", str(tmp_path / "data"), "--job", job]
    assert run(command) == 1
    assert "list<item: string>" in capsys.readouterr().out.replace("element", "item")
    for transform in ("{name: lookup, column: history}", "{name: hash, column: history, buckets: 9}"):
        for quick in ([], ["--quick"]):
            assert run([*command, f"data.transforms=[{transform}]", *quick]) == 0
    capsys.readouterr()
    transform = "{name: hash, column: history, buckets: 9}"
    assert run([*command, f"data.transforms=[{transform}]", "tables.items.rows=5"]) == 1
    assert "table 'items' has 5 rows" in capsys.readouterr().out


@pytest.mark.slow
def test_memory_does_not_grow_with_the_data(tmp_path: Path) -> None:
    """Peaks of processes that look at 40,000 and at 600,000 histories in eight files, all of them faulty."""
    job = job_file(tmp_path, "histories")
    code = (
        "import resource, sys; from saccade.cluster.cli.main import run; code = run(sys.argv[1:]); "
        "print(code, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)"
    )
    peaks = []
    for rows in (5_000, 75_000):
        data = tmp_path / str(rows)
        offsets = pa.array(range(0, 10 * rows + 1, 10), pa.int32())
        values = pa.array(np.random.default_rng(rows).integers(100, 1000, 10 * rows))
        for number in range(8):
            write(data / f"{number}.parquet", {"history": pa.ListArray.from_arrays(offsets, values)}, size=5_000)
        command = ["data", "validate", str(data), "--job", str(job), "tables.items.rows=100"]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            [sys.executable, "-c", code, *command], capture_output=True, text=True, check=True, env=environment
        )
        exit_code, peak = done.stdout.splitlines()[-1].split()
        assert f"{rows:,} rows (0, 1, 2, 3, 4, …)" in done.stdout
        assert exit_code == "1"
        peaks.append(int(peak))
    assert peaks[1] < peaks[0] + 60, peaks


def test_an_object_store(s3: S3, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    damage(histories(tmp_path / "data", {7: [-1, 2, 3, 4]}, file=0).with_name("part-1.parquet"))
    s3.put(tmp_path / "data", "checked")
    assert run(["data", "validate", s3.uri("checked"), "--job", str(job_file(tmp_path, "histories"))]) == 1
    one, other = [line for line in capsys.readouterr().out.splitlines() if line.startswith("fault: ")]
    assert one.startswith("fault: s3://checked/part-0.parquet row 7: column 'history' has item id -1")
    assert other.startswith("fault: s3://checked/part-1.parquet row group 2: can't be read")
