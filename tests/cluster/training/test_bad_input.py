"""Every mistake that a user can make in front of a training: one line that says what to do, and nothing is lost."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.cluster.training.program import REFERENCE, mistake, saccade, saved

Make = Callable[[Path], object]


def write(folder: Path, histories: pa.Array, name: str = "history", rows: int = 3) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "part-0.parquet"
    pq.write_table(pa.table({"user_id": pa.array(range(len(histories))), name: histories}), path, row_group_size=rows)
    return path


def lists(*values: list[int]) -> pa.Array:
    return pa.array(values, pa.list_(pa.int64()))


def not_parquet(folder: Path) -> None:
    folder.mkdir()
    (folder / "a.parquet").write_text("user_id,history\n1,2\n")


def truncated(folder: Path) -> None:
    path = write(folder, lists(*[[1, 2, 3, 4]] * 100))
    path.write_bytes(path.read_bytes()[:-20])


def negative(folder: Path) -> None:
    write(folder, lists([1, 2, 3, 4], [1, 2, 3, 4], [5, 6, 7, 8], [1, 2, -7, 4]))


GOOD = [[1, 2, 3, 4, 5], [2, 3, 4, 5, 6]]

DATA: dict[str, tuple[Make, list[str]]] = {
    "missing": (lambda folder: None, ["{data}", "no such file or folder"]),
    "empty": (lambda folder: folder.mkdir(), ["{data}", "holds no .parquet files"]),
    "not parquet": (not_parquet, ["{data}/a.parquet"]),
    "truncated": (truncated, ["{data}/part-0.parquet"]),
    "missing column": (lambda f: write(f, lists(*GOOD), "items"), ["{data}/part-0.parquet", "'history'", "items"]),
    "wrong type": (lambda f: write(f, pa.array(["a", "b"])), ["part-0.parquet", "'history'", "string", "integers"]),
    "no lists": (lambda f: write(f, pa.array([1, 2])), ["part-0.parquet", "'history'", "int64", "list"]),
    "negative id": (negative, ["part-0.parquet", "row 3", "-7"]),
    "too short": (lambda f: write(f, lists([1, 2, 3], [4], [])), ["{data}", "'history'", "4 items"]),
    "no rows": (lambda f: write(f, lists()), ["{data}"]),
}


@pytest.mark.parametrize("name", DATA)
def test_data(name: str, job: Path, tmp_path: Path) -> None:
    make, words = DATA[name]
    data = tmp_path / "data"
    make(data)
    message = mistake("train", job, f"data.path={data}", f"run.storage={tmp_path / 'runs'}")
    for word in words:
        assert word.format(data=data) in message
    assert not (tmp_path / "runs" / "small" / "logs").exists(), "workers were started"


JOBS: dict[str, tuple[list[str], list[str]]] = {
    "unknown key": (["modle.dim=3"], ["modle", "model"]),
    "unknown key inside": (["train.epoch=3"], ["train.epoch", "train.epochs"]),
    "unknown part": (["model.attention.normalizer=sofmax"], ["model.attention.normalizer", "'sofmax'", "softmax?"]),
    "missing module": (["plugins=[not_here]"], ["plugins", "not_here", str(Path.cwd())]),
    "not a number": (["train.epochs=many"], ["train.epochs", "many"]),
    "too many workers": (["run.workers=64"], ["run.workers=64", "CPUs", "lower"]),
    "too many elastic workers": (["run.workers=[64, 99]"], ["run.workers=[64, 99]", "at least 64 CPUs", "lower"]),
    "table too small": (["tables.items.rows=50"], ["part-0000", "row ", "50 rows", "tables.items.rows"]),
    "none of the valid rows": (["evaluate.fraction=0.0001"], ["evaluate.fraction=0.0001", "none", "or more"]),
    "online without a key": (["wandb.mode=online"], ["wandb.mode", "WANDB_API_KEY", "offline"]),
}


@pytest.mark.parametrize("name", JOBS)
def test_job(name: str, job: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))  # a developer's own key isn't to be found
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    overrides, words = JOBS[name]
    message = mistake("train", job, f"run.storage={tmp_path}", *overrides)
    for word in words:
        assert word in message
    assert not (tmp_path / "small" / "logs").exists(), "workers were started"


def test_the_job_file_itself(tmp_path: Path) -> None:
    assert "none.yaml doesn't exist" in mistake("train", tmp_path / "none.yaml")
    (tmp_path / "cut.yaml").write_text("task: next_item\ndata: {path: [")
    assert "cut.yaml" in mistake("train", tmp_path / "cut.yaml")
    assert "can't be read" in mistake("train", tmp_path)


def test_storage_that_cannot_be_written(job: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    message = mistake("train", job, f"run.storage={tmp_path / 'file'}")
    assert str(tmp_path / "file") in message
    assert "run.storage" in message
    assert (tmp_path / "file").read_text() == "mine"
    message = mistake("train", job, "run.storage=/proc/saccade")  # root is refused there as well
    assert "/proc/saccade" in message
    assert "set another run.storage" in message


def snapshot(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".lock"
    }


def test_mistakes_leave_a_run_as_it_is(job: Path, short: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(short, tmp_path / "small"))
    before = snapshot(run)
    command = ["train", job, f"run.storage={tmp_path}", REFERENCE]

    message = mistake(*command, "train.epochs=2", "model.dim=32")
    assert "model.dim: 16 -> 32" in message
    assert "run.name" in message
    assert "--fresh" in message
    for fresh in ([], ["--fresh"]):
        message = mistake(*command, "train.epochs=2", f"data.path={tmp_path / 'nowhere'}", *fresh)
        assert ("data.path: " if not fresh else f"{tmp_path / 'nowhere'}") in message
    assert snapshot(run) == before

    message = mistake("evaluate", run, "engine.name=hybrid", "run.workers=64")
    assert "run.workers=64" in message
    assert snapshot(run) == before


def test_data_that_changed_under_a_run(job: Path, short: Path, histories: Path, tmp_path: Path) -> None:
    data = Path(shutil.copytree(histories, tmp_path / "data"))
    command = ["train", job, f"run.storage={tmp_path}", f"data.path={data}", REFERENCE, "train.epochs=1"]
    assert saccade(*command).code == 0
    run = tmp_path / "small"
    before = snapshot(run)
    (data / "train" / "part-00000.parquet").unlink()
    message = mistake(*command[:-1], "train.epochs=2")
    assert str(data) in message
    assert "has changed" in message
    assert snapshot(run) == before


def test_a_run_that_is_being_trained(job: Path, tmp_path: Path) -> None:
    import fcntl

    (tmp_path / "small").mkdir()
    with (tmp_path / "small" / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write(str(os.getpid()))
        lock.flush()
        message = mistake("train", job, f"run.storage={tmp_path}", REFERENCE)
    assert f"process {os.getpid()}" in message
    assert "run.name" in message


def test_fresh_deletes_nothing_but_runs(job: Path, tmp_path: Path) -> None:
    thesis = tmp_path / "small" / "artifacts" / "thesis.txt"
    thesis.parent.mkdir(parents=True)
    thesis.write_text("years of work")
    assert "holds no run" in mistake("train", job, f"run.storage={tmp_path}", "--fresh", REFERENCE)
    assert thesis.read_text() == "years of work"


@pytest.mark.parametrize("command", ["evaluate", "predict", "report"])
def test_folders_that_are_no_runs(command: str, tmp_path: Path) -> None:
    more = ["--data", tmp_path, "--output", tmp_path / "x.parquet"] if command == "predict" else []
    assert "doesn't exist" in mistake(command, tmp_path / "none", *more)
    assert "no job.yaml" in mistake(command, tmp_path, *more)


def test_runs_without_a_good_checkpoint(job: Path, short: Path, histories: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(short, tmp_path / "small"))
    predict = ["predict", run, "--data", histories, "--output", tmp_path / "x.parquet"]
    for folder in (run / "checkpoints").iterdir():
        (folder / "manifest.json").write_text("{")
    names = saved(run)
    assert names
    train = ["train", job, f"run.storage={tmp_path}", REFERENCE, "train.epochs=2"]
    done = saccade(*train)
    assert (done.code, [line.split()[0] for line in done.err.splitlines()]) == (2, ["starting", "failed", "error:"])
    for message in (done.err.splitlines()[-1], mistake("evaluate", run, REFERENCE), mistake(*predict)):
        assert "damaged" in message
        assert "manifest.json" in message
        assert saved(run) == names
    shutil.rmtree(run / "checkpoints")
    for command in (["evaluate", run, REFERENCE], predict):
        message = mistake(*command)
        assert "no checkpoint" in message
        assert "train it first" in message


def test_predict_and_evaluate_on_data_that_does_not_fit(short: Path, tmp_path: Path) -> None:
    write(tmp_path / "large", lists([1, 2, 3, 101, 5]))
    output = tmp_path / "x.parquet"
    large = mistake("predict", short, "--data", tmp_path / "large", "--output", output)
    assert "item id 101" in large
    assert "item id 101" in mistake("evaluate", short, f"data.path={tmp_path / 'large'}", REFERENCE)
    assert "nowhere" in mistake("predict", short, "--data", tmp_path / "nowhere", "--output", output)
    missing = mistake("predict", short, "--data", tmp_path / "large", "--output", tmp_path / "no" / "x.parquet")
    assert "--output" in missing
    assert "doesn't exist" in missing
    assert not output.exists()
