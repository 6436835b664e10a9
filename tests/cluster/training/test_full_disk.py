"""No space left at the storage path: one line, older checkpoints stay good, and the command goes on once there is."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cluster.training.program import (
    REFERENCE,
    Going,
    assert_same_weights,
    history,
    mistake,
    read,
    saccade,
    saved,
    step,
)

from saccade.pipelines.checkpoint.reader import CheckpointReader

MEBIBYTES = 8


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a few MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    command = ["mount", "-t", "tmpfs", "-o", f"size={MEBIBYTES}m", "tmpfs", str(folder)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"can't mount a small file system: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(disk: Path) -> Path:
    """Take all the space that is left."""
    path = disk / "other-data"
    with path.open("ab", buffering=0) as file:
        while True:
            try:
                file.write(bytes(1 << 12))
            except OSError:
                return path


def test_full_at_the_start(job: Path, disk: Path) -> None:
    filling = fill(disk)
    message = mistake("train", job, f"run.storage={disk}")
    assert f"no space left at {disk / 'small'}" in message
    assert "set another run.storage" in message
    assert filling.exists()


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["reference", "hybrid"])
def test_full_in_the_middle(engine: str, job: Path, undisturbed: tuple[Path, object], disk: Path) -> None:
    run = disk / "small"
    command = ["train", job, f"run.storage={disk}", f"engine.name={engine}"]
    going = Going(*command, mark=str(disk))
    try:
        going.until(lambda: saved(run))
        filling = fill(disk)
        done = going.end()
    finally:
        going.kill()
    assert done.code == 2, done
    assert "Traceback" not in done.out + done.err
    *progress, error = done.err.splitlines()
    assert error.startswith("error: ")
    assert "space left" in error
    assert str(run) in error
    assert not [line for line in progress if line.startswith("error")]
    before = saved(run)
    assert before
    for name in before:
        CheckpointReader(run / "checkpoints" / name).verify()
    assert not list((run / "checkpoints").glob("*.writing"))

    if engine == "hybrid":
        return  # how its runs go on is shown in test_disturbed.py
    filling.unlink()
    again = saccade(*command, "--json")
    assert again.json["metrics"] == read(undisturbed[0] / "result.json")["metrics"]
    assert f"resumed from {before[-1]}" in again.err
    assert_same_weights(run, undisturbed[0], 1e-4)


@pytest.mark.slow
def test_full_for_a_while(job: Path, undisturbed: tuple[Path, object], disk: Path) -> None:
    """With checkpoint.on_error=continue training goes on, says so, and saves again once there is room."""
    run = disk / "small"
    going = Going("train", job, f"run.storage={disk}", REFERENCE, "checkpoint.on_error=continue", mark=str(disk))
    try:
        going.until(lambda: saved(run))
        filling = fill(disk)
        before, at = saved(run), step(run)
        time.sleep(0.7)  # a few times checkpoint.every_seconds
        assert going.process.poll() is None
        for name in before:
            CheckpointReader(run / "checkpoints" / name).verify()
        filling.unlink()
        going.until(lambda: saved(run)[-1] > before[-1])
        assert step(run) > at
        done = going.end()
    finally:
        going.kill()
    assert done.code == 0, done
    warning = next(line for line in done.err.splitlines() if "WARNING" in line)
    assert "could not be written" in warning
    assert warning.endswith("older checkpoints are untouched; training goes on")
    # Not a line of the history is lost, and the result is what it would have been.
    expected = [line["step"] for line in history(undisturbed[0])]
    assert [line["step"] for line in history(run)] == expected
    assert read(run / "result.json")["metrics"] == read(undisturbed[0] / "result.json")["metrics"]
    assert_same_weights(run, undisturbed[0], 1e-4)


def test_predictions_and_reports_that_do_not_fit(short: Path, histories: Path, disk: Path) -> None:
    fill(disk)
    output = disk / "next.parquet"
    assert f"--output {output}: can't be written" in mistake("predict", short, "--data", histories, "--output", output)
    assert "can't write the report" in mistake("report", short, "--output", disk / "report.html")
    assert [path.name for path in disk.iterdir()] == ["other-data"]
