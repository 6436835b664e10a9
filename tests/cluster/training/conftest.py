"""One small data set, one job file and one undisturbed run on two workers for all tests of this folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.cluster.training.program import Done, saccade

JOB = """\
task: next_item
data: {path: nowhere, max_length: 20}
model: {dim: 16, blocks: 1, heads: 1, hidden: 32, dropout: 0.1}
tables: {items: {optimizer: {name: adagrad, learning_rate: 0.05}}}
loss: {name: sampled_softmax, negatives: 64}
optimizer: {learning_rate: 2.0e-3, schedule: linear, warmup_steps: 5}
train: {epochs: 8, micro_batches: 2, tokens: 256}
engine: {sharding: row, zero_stage: 2, device: cpu}
evaluate: {every: 4}
checkpoint: {every_seconds: 0.3}
run: {name: small, workers: 2}
"""


@pytest.fixture(scope="session")
def histories(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Behaviour histories whose structure can be learned."""
    folder = tmp_path_factory.mktemp("data") / "histories"
    done = saccade("data", "synthesize", folder, "--users", 800, "--items", 100)
    assert done.code == 0, done.err
    return folder


@pytest.fixture(scope="session")
def job(histories: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A job file for two workers and some hundred steps."""
    path = tmp_path_factory.mktemp("job") / "small.yaml"
    path.write_text(JOB.replace("nowhere", str(histories)))
    return path


@pytest.fixture(scope="session")
def undisturbed(job: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Done]:
    """The run's folder, and how the command that made it ended."""
    storage = tmp_path_factory.mktemp("undisturbed")
    return storage / "small", saccade("train", job, f"run.storage={storage}", "--json")


@pytest.fixture(scope="session")
def short(job: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of one epoch of the reference engine. Tests that change it copy it."""
    storage = tmp_path_factory.mktemp("short")
    done = saccade("train", job, f"run.storage={storage}", "train.epochs=1", "engine.name=reference")
    assert done.code == 0, done.err
    return storage / "small"
