"""Saving by several processes, and by one that is killed."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from saccade.pipelines.checkpoint.reader import CheckpointReader
from saccade.pipelines.checkpoint.retention import checkpoints, clean, newest_good

SCRIPT = Path(__file__).with_name("save_as_rank.py")


def start(folder: Path, rank: int, world_size: int, mode: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(SCRIPT), str(folder), str(rank), str(world_size), mode]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def run_two_ranks(folder: Path, mode: str) -> list[tuple[int, str]]:
    ranks = [start(folder, rank, 2, mode) for rank in range(2)]
    outputs = [process.communicate(timeout=120)[0] for process in ranks]
    return [(process.returncode, output) for process, output in zip(ranks, outputs, strict=True)]


def test_two_ranks_write_one_checkpoint(tmp_path: Path) -> None:
    assert [code for code, _ in run_two_ranks(tmp_path, "once")] == [0, 0]
    path = newest_good(tmp_path / "checkpoints", pytest.fail)
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


def test_a_failure_on_one_rank_is_an_error_on_all(tmp_path: Path) -> None:
    for code, output in run_two_ranks(tmp_path, "blocked"):
        assert code == 2
        assert "step-00000001 could not be written" in output
        assert "File name too long on rank 1" in output
    assert list((tmp_path / "checkpoints").iterdir()) == []


def test_killed_while_saving_leaves_only_good_ones(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    interrupted = False
    for delay in (0.0, 0.002, 0.005):
        process = start(tmp_path, 0, 1, "forever")
        try:
            deadline = time.monotonic() + 60
            while not checkpoints(folder) and time.monotonic() < deadline:
                time.sleep(0.005)
            while not list(folder.glob("*.writing")) and time.monotonic() < deadline:
                time.sleep(0.0005)
            time.sleep(delay)
        finally:
            process.kill()
            process.communicate()
        interrupted |= any(path.suffix for path in folder.iterdir())
        found = checkpoints(folder)
        assert found
        for path in found:
            CheckpointReader(path).verify()
        assert newest_good(folder, pytest.fail) == found[-1]
        clean(folder)
        assert all(not path.suffix for path in folder.iterdir())
    assert interrupted, "no save was under way at any kill"
