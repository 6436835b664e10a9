"""Ctrl-C, and a worker that is killed: the run ends as if nothing had happened."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from tests.cluster.training.program import (
    REFERENCE,
    Done,
    Going,
    assert_same_weights,
    history,
    read,
    saved,
    step,
    worker_process,
)

INTERRUPTED = "interrupted; the same command again goes on from the last checkpoint"


def interrupt(run: Path, command: list[str], *, group: bool, after: int) -> Done:
    """Start, and press Ctrl-C once the run is some steps on and has a checkpoint of this start."""
    before = saved(run)
    going = Going(*command, mark=f"{run}-{after}")
    try:
        going.until(lambda: step(run) > after and saved(run) != before)
        os.killpg(going.process.pid, signal.SIGINT) if group else going.process.send_signal(signal.SIGINT)
        done = going.end(60)
    finally:
        going.kill()
    assert done.code == 130, done
    assert done.err.splitlines()[-1] == INTERRUPTED
    assert "Traceback" not in done.out + done.err
    return done


def assert_one_wandb_run(run: Path, starts: int) -> None:
    record = read(run / "run.json")
    assert len(record["starts"]) == starts
    folders = sorted(path.name for path in (run / "wandb").glob("offline-run-*"))
    assert [name.rsplit("-", 1)[1] for name in folders] == [record["wandb_id"]] * starts


def assert_undisturbed(run: Path, undisturbed: Path) -> None:
    """The same steps, logged once each, to the same numbers."""
    ours, theirs = read(run / "result.json"), read(undisturbed / "result.json")
    for key in ("metrics", "steps", "epochs", "best_step"):
        assert ours[key] == theirs[key]
    for name in ("train/loss", "valid/ndcg@10", "test/ndcg@10"):
        logged = [[(line["step"], line[name]) for line in history(each) if name in line] for each in (run, undisturbed)]
        steps = [number for number, _ in logged[0]]
        assert steps == sorted(set(steps))
        assert steps == [number for number, _ in logged[1]]


@pytest.mark.slow
def test_interrupted_and_killed(job: Path, undisturbed: tuple[Path, Done], tmp_path: Path) -> None:
    run = tmp_path / "small"
    command = ["train", str(job), f"run.storage={tmp_path}"]
    last = undisturbed[1].json["steps"]
    interrupt(run, command, group=True, after=last // 5)
    first = saved(run)[-1]
    second = interrupt(run, command, group=False, after=last // 2)
    assert f"INFO resumed from {first}" in second.err

    stopped, killed = saved(run)[-1], 0
    going = Going(*command, "--json", mark=str(tmp_path))
    try:
        going.until(lambda: step(run) > last * 3 // 5 and saved(run)[-1] != stopped)
        killed = worker_process(run, 1)
        os.kill(killed, signal.SIGKILL)
        done = going.end()
    finally:
        going.kill()
    assert done.code == 0, done
    assert f"INFO resumed from {stopped}" in done.err
    assert "WARNING worker 1: its process died; starting the workers again (1 of 3 restarts)" in done.err
    assert done.err.count("resumed from") == 2
    assert "Traceback" not in done.err
    assert worker_process(run, 1) != killed
    assert_one_wandb_run(run, starts=4)
    assert_undisturbed(run, undisturbed[0])
    assert_same_weights(run, undisturbed[0])


@pytest.mark.slow
@pytest.mark.parametrize("group", [True, False])
def test_interrupted_without_ray(job: Path, undisturbed: tuple[Path, Done], tmp_path: Path, group: bool) -> None:
    run = tmp_path / "small"
    command = ["train", str(job), f"run.storage={tmp_path}", REFERENCE]
    interrupt(run, command, group=group, after=60)
    stopped = saved(run)[-1]
    going = Going(*command, mark=str(tmp_path))
    done = going.end()
    assert done.code == 0, done
    assert f"INFO resumed from {stopped}" in done.err
    assert_one_wandb_run(run, starts=2)
    assert_undisturbed(run, undisturbed[0])
    assert_same_weights(run, undisturbed[0], 1e-4)
