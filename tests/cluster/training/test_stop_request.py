"""A file in the run's folder stops it at the step it is in; the same command then ends as if nothing had happened."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.cluster.training.program import REFERENCE, Going, assert_same_weights, history, read, saccade, saved, step

LONG = "checkpoint.every_seconds=1000"
"""So that only the request saves in the middle of an epoch."""


@pytest.mark.slow
def test_stopped_by_a_file_and_resumed(job: Path, tmp_path: Path) -> None:
    run, straight = tmp_path / "small", tmp_path / "straight"
    command = ["train", job, f"run.storage={tmp_path}", REFERENCE, LONG]
    going = Going(*command, mark=str(tmp_path))
    try:
        going.until(lambda: step(run) > 40)
        (run / "stop").touch()
        done = going.end(60)
    finally:
        going.kill()
    assert done.code == 130, done
    assert "Traceback" not in done.err
    progress = read(run / "progress.json")
    assert progress["phase"] == "stopped"
    assert saved(run)[-1] == f"step-{progress['step']:08d}"
    assert f"INFO stopped at step {progress['step']}, saved" in done.err

    again = saccade(*command)
    assert again.code == 0, again.err
    assert f"resumed from step-{progress['step']:08d}" in again.err
    whole = saccade(*command, "run.name=straight")
    assert whole.code == 0, whole.err
    assert_same_weights(run, straight)
    for name in ("train/loss", "train/gradient_norm", "train/epoch", "valid/ndcg@10", "test/ndcg@10"):
        ours, theirs = (
            [(line["step"], line[name]) for line in history(each) if name in line] for each in (run, straight)
        )
        assert ours == theirs
    assert read(run / "result.json")["metrics"] == read(straight / "result.json")["metrics"]
