"""Saving by several processes, and by one that is killed."""

import time
from pathlib import Path

import pytest
import torch
from tests.pipelines.checkpoint.ranks import run_two_ranks, start

from saccade.pipelines.checkpoint.reader import CheckpointReader
from saccade.pipelines.checkpoint.retention import checkpoints, clean, newest_good


def test_two_ranks_write_one_checkpoint(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    assert [code for code, _ in run_two_ranks(folder, "once")] == [0, 0]
    path = newest_good(folder / "checkpoints", pytest.fail)
    assert path is not None
    reader = CheckpointReader(path)
    weight = torch.arange(2000 * 64, dtype=torch.float32).reshape(2000, 64)
    assert torch.equal(reader.table("items", "weight", (900, 1100)), weight[900:1100])
    assert torch.equal(reader.table("items", "sum"), -weight)
    assert {name: reader.network[name].tolist() for name in reader.network} == {
        "weight/layer0": [0.0] * 3,
        "weight/layer1": [1.0] * 3,
    }
    assert reader.manifest.training == {"rank": 0}


def test_a_failure_on_one_rank_is_the_same_error_on_all(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    (code, output), other = run_two_ranks(folder, "blocked")
    assert (code, output) == other
    assert code == 2
    assert "step-00000001 could not be written" in output
    assert "File name too long on rank 1" in output
    assert "[in flight: False]" in output
    assert list((folder / "checkpoints").iterdir()) == []


def test_killed_while_writing_in_the_background_leaves_only_good_ones(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    interrupted = False
    for delay in (0.0, 0.004, 0.01):
        process = start(tmp_path, 0, 1, "forever")
        try:
            deadline = time.monotonic() + 60
            while not checkpoints(folder) and time.monotonic() < deadline:
                time.sleep(0.005)
            while not list(folder.glob("*.writing/tables/*/*")) and time.monotonic() < deadline:
                time.sleep(0.0005)
            time.sleep(delay)
        finally:
            process.kill()
            process.communicate()
        interrupted |= any(path.suffix == ".writing" for path in folder.iterdir())
        found = checkpoints(folder)
        assert found
        newest = newest_good(folder, pytest.fail)
        assert newest == found[-1]
        for path in found:
            # All of it is from the moment of its step, whatever the training did while it was written.
            weight = CheckpointReader(path).table("items", "weight")
            assert weight.unique().tolist() == [CheckpointReader(path).manifest.step]
        clean(folder)
        assert all(not path.suffix for path in folder.iterdir())
        for path in found[:-1]:
            for file in sorted(path.rglob("*"), reverse=True):
                file.rmdir() if file.is_dir() else file.unlink()
            path.rmdir()
    assert interrupted, "no write was under way at any kill"
