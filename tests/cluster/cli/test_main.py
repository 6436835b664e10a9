"""Exit codes and streams, by running the program."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from saccade.cluster.cli.main import report_failure, run
from saccade.plugins.ray.errors import RunFailed

PROGRAM = [sys.executable, "-m", "saccade.cluster.cli.main"]


@pytest.fixture
def job_file(tmp_path: Path) -> Path:
    path = tmp_path / "demo.yaml"
    path.write_text("task: next_item\ndata: {path: histories}\n")
    return path


def test_mistakes_exit_with_2_and_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], job_file: Path) -> None:
    commands = [
        ["train", str(tmp_path / "none.yaml")],
        ["train", str(job_file), "train.epoch=1"],
        ["train", str(job_file), "run.workers=3", "--json"],
        ["train"],
        ["trian"],
        ["train", str(job_file), "--frehs"],
        ["job", "show", str(job_file), "x=1"],
        ["job", "shw"],
        ["evaluate", str(tmp_path / "none")],
        ["evaluate", str(tmp_path)],
        ["evaluate", str(job_file), "--split", "test"],
        ["evaluate", str(tmp_path), "--split", "train"],
        ["predict", str(tmp_path)],
        ["predict", str(tmp_path), "--data", "x", "--output", "y.parquet", "--top-k", "0"],
        ["predict", str(tmp_path), "--data", "x", "--output", "y.parquet"],
        ["report", str(tmp_path), "--json"],
        ["report", str(tmp_path), "--wandb", "--output", "x.html"],
        ["data", "synthesize", str(tmp_path / "x"), "--users", "many"],
    ]
    for command in commands:
        assert run(command) == 2, command
        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err.startswith("error: ")
        assert captured.err.count("\n") == 1


def test_group_without_a_command_shows_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["job"]) == 2
    assert "Commands:" in capsys.readouterr().err


def test_job_show_prints_a_job(job_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["job", "show", str(job_file), "train.epochs=3", "optimizer.learning_rate=1e-3"]) == 0
    shown = capsys.readouterr().out
    assert "  epochs: 3\n" in shown
    again = tmp_path / "again.yaml"
    again.write_text(shown)
    assert run(["job", "show", str(again)]) == 0
    assert capsys.readouterr().out == shown


def test_job_schema_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["job", "schema"]) == 0
    assert json.loads(capsys.readouterr().out)["title"] == "Saccade job"


def test_missing_run_names_the_runs_nearby(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "good").mkdir()
    (tmp_path / "good" / "job.yaml").write_text("")
    assert run(["evaluate", str(tmp_path / "god")]) == 2
    assert str(tmp_path / "good") in capsys.readouterr().err


def test_reader_that_stops_reading_is_no_error(job_file: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run([*PROGRAM, "job", "schema"], stdout=writing, stderr=subprocess.PIPE, text=True)
    os.close(writing)
    assert done.stderr == ""
    assert "Traceback" not in done.stderr


def test_interrupt_is_130_and_one_line() -> None:
    # A command that waits: the job file is a pipe that nobody writes to.
    reading, writing = os.pipe()
    command = [*PROGRAM, "job", "show", f"/dev/fd/{reading}"]
    process = subprocess.Popen(command, pass_fds=[reading], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    os.close(reading)
    try:
        # It is in our code once it has opened the pipe to read it.
        wait_until_reading(process.pid)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
    finally:
        process.kill()
        os.close(writing)
    assert process.returncode == 130
    assert errors.strip() == "interrupted"


def wait_until_reading(pid: int) -> None:
    """Wait for the fourth open pipe: after stdout, stderr and the inherited one, the job file that it has opened."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with contextlib.suppress(FileNotFoundError):  # one that was closed while we looked
            if sum(os.readlink(handle).startswith("pipe:") for handle in Path(f"/proc/{pid}/fd").iterdir()) == 4:
                return
        time.sleep(0.05)
    pytest.fail("the program never read its job file")


def test_unforeseen_failure_is_1_with_its_traceback() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([*PROGRAM, "job", "schema"], stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("this is a bug in saccade: please report it")


def test_failed_run_is_1_without_our_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert report_failure(RunFailed("a worker was lost 4 times", "Traceback of the worker")) == 1
    assert capsys.readouterr().err == "Traceback of the worker\nerror: a worker was lost 4 times\n"
