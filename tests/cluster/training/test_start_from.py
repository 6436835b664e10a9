"""A run that begins with another one's weights, in tables that may have grown; and other keys of the loop."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tests.cluster.training.program import REFERENCE, read, saccade, saved

from saccade.cluster.job import load_job
from saccade.cluster.training.begin import begin
from saccade.cluster.training.engines import make_engine
from saccade.cluster.training.facts import gather_facts
from saccade.cluster.training.tasks import make_task
from saccade.pipelines.checkpoint.reader import CheckpointReader
from saccade.pipelines.engines.tables import initial_rows
from saccade.pipelines.errors import UserError
from saccade.pipelines.records.progress import Progress
from saccade.pipelines.training.state import TrainingState

NEW = 7
"""Rows that the table grows by."""


def newest(run: Path) -> CheckpointReader:
    return CheckpointReader(run / "checkpoints" / saved(run)[-1])


def test_old_rows_are_kept_and_new_ones_are_the_seeds(short: Path, tmp_path: Path) -> None:
    old = newest(short)
    rows = old.table_rows("items")
    job = load_job(short / "job.yaml", [f"tables.items.rows={rows + NEW}", "run.seed=4"])
    task = make_task(job, gather_facts(job, tmp_path), tmp_path)
    engine = make_engine(job, task, torch.device("cpu"))
    with pytest.raises(UserError, match=r"tables\.items\.grow=true"):
        begin(engine, tmp_path / "checkpoints", str(short), [], Progress(None))

    progress = Progress(tmp_path)
    state = begin(engine, tmp_path / "checkpoints", str(short), ["items"], progress)
    assert state == TrainingState()
    (shard,) = engine.shards("items")
    assert torch.equal(shard.weight[:rows], old.table("items", "weight"))
    assert torch.equal(shard.weight[rows:], initial_rows(task.tables[0], 4, rows, rows + NEW))
    for name, tensor in shard.optimizer.items():
        assert torch.equal(tensor[:rows], old.table("items", name))
        assert not tensor[rows:].any()
    for name, tensor in engine.state().network.items():
        assert torch.equal(tensor, old.network[name])
    assert f"begins with the weights and optimizer state of {old.path}" in (tmp_path / "log.txt").read_text()


def test_a_job_begins_with_a_run(short: Path, tmp_path: Path) -> None:
    """A learning rate of almost nothing shows that it does; resumed it goes on from its own checkpoints."""
    still = ["optimizer.learning_rate=1e-30", "tables.items.optimizer.learning_rate=1e-30"]
    command = ["train", short / "job.yaml", f"run.storage={tmp_path}", f"run.start_from={short}", *still]
    done = saccade(*command, "train.epochs=1")
    assert done.code == 0, done.err
    assert f"begins with the weights and optimizer state of {newest(short).path}" in done.err
    run = tmp_path / "small"
    assert torch.equal(newest(run).table("items", "weight"), newest(short).table("items", "weight"))
    rows = newest(short).table_rows("items")
    again = saccade(*command, "train.epochs=2", f"tables.items.rows={rows + NEW}", "tables.items.grow=true")
    assert again.code == 0, again.err
    assert "resumed from" in again.err
    assert "begins with" not in again.err
    assert newest(run).table_rows("items") == rows + NEW
    assert torch.equal(newest(run).table("items", "weight")[:rows], newest(short).table("items", "weight"))


def test_nothing_to_start_from(short: Path, tmp_path: Path) -> None:
    job = load_job(short / "job.yaml")
    task = make_task(job, read(short / "run.json")["facts"], short / "artifacts")
    engine = make_engine(job, task, torch.device("cpu"))
    with pytest.raises(UserError, match=rf"run.start_from={tmp_path}: run {tmp_path} has no checkpoint yet"):
        begin(engine, tmp_path / "checkpoints", str(tmp_path), [], Progress(None))


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("stop", r"step 2 is not finite: loss nan"),
        ("skip", r"11 steps in a row are not finite, the last one step 12: loss nan"),
        ("rollback", r"step 2 is not finite, and there is no checkpoint to roll back to: loss nan"),
    ],
)
def test_a_loss_that_is_no_number(job: Path, histories: Path, tmp_path: Path, policy: str, expected: str) -> None:
    keys = ["optimizer.learning_rate=1e30", "optimizer.warmup_steps=0", "checkpoint.every_seconds=1000"]
    done = saccade("train", job, f"run.storage={tmp_path}", REFERENCE, f"train.on_not_finite={policy}", *keys)
    assert done.code == 2
    error = done.err.splitlines()[-1]
    assert expected in error
    assert f" rows: {histories}/train/" in error
    assert "Traceback" not in done.err
    assert done.err.count("WARNING step") == (10 if policy == "skip" else 0)
