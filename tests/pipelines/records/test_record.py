from __future__ import annotations

import json
import math
import subprocess
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

from saccade.pipelines.records.record import cores, environment, git_state, memory_bytes, read_json, write_json


def test_environment_names_the_machine_and_the_packages() -> None:
    facts = environment()
    assert set(facts) == {"python", "platform", "cpu", "cores", "memory_gib", "gpus", "packages"}
    assert facts["packages"]["torch"] == metadata.version("torch")
    assert facts["cores"] == cores() >= 1
    assert facts["memory_gib"] == pytest.approx(memory_bytes() / 2**30, abs=0.1)
    json.dumps(facts)


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=Test", "-c", "user.email=test@example.org"]
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_git_state(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    (tmp_path / "file").write_text("one")
    git(tmp_path, "add", "file")
    git(tmp_path, "commit", "--quiet", "-m", "first")
    assert git_state(tmp_path) == {"git_commit": git(tmp_path, "rev-parse", "HEAD"), "git_dirty": False}
    (tmp_path / "file").write_text("two")
    assert git_state(tmp_path)["git_dirty"] is True


def test_git_state_outside_a_repository(tmp_path: Path) -> None:
    assert git_state(tmp_path) == {"git_commit": None, "git_dirty": None}
    assert git_state(tmp_path / "absent") == {"git_commit": None, "git_dirty": None}


def test_write_json_replaces_the_file_and_writes_only_json(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_text("old")
    write_json(path, {"nan": math.nan, "count": np.int64(3), "path": tmp_path, "list": (1, np.float32(0.5)), 4: True})
    assert read_json(path) == {"nan": None, "count": 3, "path": str(tmp_path), "list": [1, 0.5], "4": True}
    assert list(tmp_path.iterdir()) == [path]


def test_write_json_leaves_the_old_file_where_writing_fails(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    write_json(path, {"step": 1})

    class Broken:
        def __str__(self) -> str:
            raise RuntimeError("no text")

    with pytest.raises(RuntimeError):
        write_json(path, {"step": Broken()})
    assert read_json(path) == {"step": 1}
    assert list(tmp_path.iterdir()) == [path]
