"""Ctrl-C, and a worker that is killed: the run ends as if nothing had happened."""

from __future__ import annotations

import os
import re
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


def interrupt(run: Path, command: list[str], number: signal.Signals, *, group: bool, after: int) -> Done:
    """Start, and send a signal once the run is some steps on: the step at which it stops is the one that it saved."""
    # 2.5 seconds to save after SIGTERM are short where a machine does many things at once.
    going = Going(*command, mark=f"{run}-{after}", extra={"RAY_JOB_STOP_WAIT_TIME_S": "20"})
    try:
        going.until(lambda: step(run) > after and read(run / "progress.json")["phase"] == "training")
        os.killpg(going.process.pid, number) if group else going.process.send_signal(number)
        done = going.end(60)
    finally:
        going.kill()
    assert done.code == 130, done
    assert done.err.splitlines()[-1] == INTERRUPTED
    assert "Traceback" not in done.out + done.err
    assert read(run / "progress.json")["phase"] == "stopped"
    assert saved(run)[-1] == f"step-{step(run):08d}"
    assert f"INFO stopped at step {step(run)}, saved" in done.err
    assert not (run / "stop").exists()
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
def test_interrupted_warned_and_killed(job: Path, undisturbed: tuple[Path, Done], tmp_path: Path) -> None:
    """Ctrl-C and SIGTERM at the command, then SIGTERM and SIGKILL at one worker; and rubbish in Ray's own folder."""
    run = tmp_path / "small"
    command = ["train", str(job), f"run.storage={tmp_path}"]
    last = undisturbed[1].json["steps"]
    interrupt(run, command, signal.SIGINT, group=True, after=last // 8)
    first = saved(run)[-1]
    rubbish = run / "ray" / "0123456789ab" / "checkpoint_manager_snapshot.json"
    rubbish.parent.mkdir(parents=True)
    rubbish.write_text('{"checkpoint_results": [')
    second = interrupt(run, command, signal.SIGTERM, group=False, after=last // 4)
    assert f"INFO resumed from {first}" in second.err

    stopped, killed = saved(run)[-1], 0
    going = Going(*command, "--json", mark=str(tmp_path))
    try:
        # What the start before left in progress.json says nothing of this one.
        going.until(lambda: len(read(run / "run.json")["starts"]) == 3)
        going.until(lambda: read(run / "progress.json")["phase"] == "training" and step(run) > last // 3)
        os.kill(worker_process(run, 1), signal.SIGTERM)
        going.until(lambda: "told to end" in (run / "log.txt").read_text())
        warned = step(run)
        going.until(lambda: step(run) > max(warned, last // 2))
        killed = worker_process(run, 1)
        os.kill(killed, signal.SIGKILL)
        done = going.end()
    finally:
        going.kill()
    assert done.code == 0, done
    assert f"INFO resumed from {stopped}" in done.err
    stops = [int(found) for found in re.findall(r"INFO stopped at step (\d+), saved", done.err)]
    assert stops[-1] >= warned  # what progress.json says may be a step behind
    assert f"INFO resumed from step-{stops[-1]:08d}" in done.err
    assert "WARNING worker 1: told to end (SIGTERM), as when its node is taken back" in done.err
    assert "WARNING worker 1: its process died; starting the workers again (1 of 3 restarts)" in done.err
    assert done.err.count("resumed from") == 3
    assert "Traceback" not in done.err
    assert worker_process(run, 1) != killed
    assert_one_wandb_run(run, starts=5)
    assert_undisturbed(run, undisturbed[0])
    assert_same_weights(run, undisturbed[0])


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_without_ray(
    job: Path, undisturbed: tuple[Path, Done], tmp_path: Path, number: signal.Signals
) -> None:
    run = tmp_path / "small"
    command = ["train", str(job), f"run.storage={tmp_path}", REFERENCE]
    interrupt(run, command, number, group=number == signal.SIGINT, after=60)
    stopped = saved(run)[-1]
    going = Going(*command, mark=str(tmp_path))
    done = going.end()
    assert done.code == 0, done
    assert f"INFO resumed from {stopped}" in done.err
    assert_one_wandb_run(run, starts=2)
    assert_undisturbed(run, undisturbed[0])
    assert_same_weights(run, undisturbed[0], 1e-4)


@pytest.mark.slow
def test_a_file_stops_a_run(job: Path, tmp_path: Path) -> None:
    """From another shell, or another machine that sees the storage."""
    run = tmp_path / "small"
    going = Going("train", str(job), f"run.storage={tmp_path}", REFERENCE, mark=str(tmp_path))
    try:
        going.until(lambda: step(run) > 60)
        (run / "stop").touch()
        done = going.end(60)
    finally:
        going.kill()
    assert (done.code, done.err.splitlines()[-1]) == (130, INTERRUPTED)
    assert saved(run)[-1] == f"step-{step(run):08d}"
    assert not (run / "stop").exists()
