"""Training with parts of the working directory, in one process and on Ray workers."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from tests.cluster.training.program import REFERENCE, assert_same_weights, environment, read

PROGRAM = Path(sys.executable).with_name("saccade")
"""As it is installed: Python itself doesn't look into the working directory then."""

MODULE = """\
from parts_near_helper import distance
from torch import nn

from saccade.models.attention.block import AttentionBlock
from saccade.models.attention.scores.score import Score
from saccade.models.encoder import Encoder
from saccade.models.attention.masks.causal import Causal
from saccade.models.registry import register


@register("score", "near")
class Near(Score):
    '''-s |W q - k|².'''

    def __init__(self, dim: int, strength: float = 1.0) -> None:
        super().__init__()
        self.strength = strength
        self.map = nn.Linear(dim, dim)

    def prepare(self, query, key):
        return self.map(query), key

    def forward(self, query, key, previous=None):
        return -self.strength * distance(query, key)


@register("block", "twice")
class Twice(AttentionBlock):
    '''A block that is gone through twice.'''

    def forward(self, tokens, cache=None):
        return super().forward(super().forward(tokens))


@register("model", "parts_stack")
class Stack(nn.Module):
    '''A causal encoder, and no more.'''

    def __init__(self, dim, blocks, heads, hidden, dropout, max_length, attention, block, scale: float = 1.0) -> None:
        super().__init__()
        self.scale = scale
        self.encoder = Encoder(dim, blocks, heads, hidden, dropout, max_length, Causal(), attention, block)

    def forward(self, items):
        return self.encoder(items.with_values(items.values * self.scale))
"""
HELPER = """\
def distance(query, key):
    return (query[..., :, None, :] - key[..., None, :, :]).square().mean(-1)
"""
OVERRIDES = ["plugins=[parts_near]", "model.attention.score={name: near, strength: 2}", "train.epochs=1"]


def saccade(*arguments: object, cwd: Path) -> tuple[int, str]:
    """Run the program; its code and stderr."""
    command = [PROGRAM, *map(str, arguments)]
    done = subprocess.run(
        command, env=environment({"PYTHONPATH": ""}), cwd=cwd, capture_output=True, text=True, timeout=280, check=False
    )
    return done.returncode, done.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory with a module."""
    path = tmp_path_factory.mktemp("work")
    (path / "parts_near.py").write_text(MODULE)
    (path / "parts_near_helper.py").write_text(HELPER)
    return path


@pytest.mark.slow
def test_two_workers_find_the_working_directorys_modules(folder: Path, job: Path) -> None:
    model = ["model.name=parts_stack", "model.options={scale: 3}", "model.block=twice"]
    for name, engine in (("two", []), ("one", [REFERENCE])):
        code, err = saccade("train", job, *OVERRIDES, *model, *engine, f"run.name={name}", cwd=folder)
        assert code == 0, err
    one, two = (folder / "runs" / name for name in ("one", "two"))
    assert [start["workers"] for start in read(two / "run.json")["starts"]] == [2]
    assert_same_weights(one, two, 1e-3)
    left, right = (read(run / "result.json")["metrics"] for run in (one, two))
    assert left == pytest.approx(right, abs=1e-3)


@pytest.mark.slow
def test_a_finished_run_without_its_module(folder: Path, job: Path, histories: Path, tmp_path: Path) -> None:
    own, away = tmp_path / "own", tmp_path / "away"
    shutil.copytree(folder, own, ignore=shutil.ignore_patterns("runs"))
    away.mkdir()
    code, err = saccade("train", job, *OVERRIDES, REFERENCE, "run.name=kept", cwd=own)
    assert code == 0, err
    run = own / "runs" / "kept"
    output = tmp_path / "next.parquet"
    commands = {
        "evaluate": ["evaluate", run, REFERENCE],
        "predict": ["predict", run, "--data", histories, "--output", output],
        "export": ["checkpoint", "export", run, tmp_path / "exported"],
    }
    for command in commands.values():  # from elsewhere: the run knows where it was trained
        code, err = saccade(*command, cwd=away)
        assert code == 0, err
    assert pq.read_table(output).num_rows == 800

    (own / "parts_near.py").rename(own / "parts_far.py")
    said = f"plugins: there is no module parts_near in {away}, {own}, nor is one installed; did you mean parts_far?"
    for name, command in commands.items():
        if name == "export":
            command.append("--force")
        assert saccade(*command, cwd=away) == (2, f"error: {said}\n")
    (away / "parts_near.py").write_text((own / "parts_far.py").read_text())
    assert saccade(*commands["predict"], cwd=away)[0] == 0  # and this directory comes first
