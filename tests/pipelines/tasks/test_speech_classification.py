"""The speech classification task, from rows to loss."""

from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from saccade.models.jagged import Jagged
from saccade.models.speech.classifier import SpeechClassifier
from saccade.models.speech.log_mel import LogMel
from saccade.pipelines.batch import Batch
from saccade.pipelines.collective import Collective
from saccade.pipelines.engines.reference import ReferenceEngine
from saccade.pipelines.errors import UserError
from saccade.pipelines.optimizers import NetworkOptimizer
from saccade.pipelines.parquet.source import Source
from saccade.pipelines.tasks.speech_classification import SpeechClassification, check_sampling_rate

SAMPLES = [1600, 0, 90, 900, 5000, 1200]
RATES = [8000] * 5 + [16000]


def glide(samples: int, rising: bool) -> list[float]:
    """A tone between 500 and 2500 Hz: what stays the same throughout is normalised away."""
    frequency = torch.linspace(500, 2500, samples)
    phase = (frequency if rising else frequency.flip(0)).cumsum(0) * 2 * torch.pi / 8000
    return (phase.sin() * 0.3).tolist()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    audio = pa.array([glide(n, i % 2 == 1) for i, n in enumerate(SAMPLES)], pa.list_(pa.float32()))
    table = pa.table({"audio": audio, "label": [i % 2 for i in range(6)], "sampling_rate": RATES})
    pq.write_table(table, tmp_path / "x.parquet", row_group_size=2)
    return tmp_path / "x.parquet"


@pytest.fixture
def task() -> SpeechClassification:
    features = partial(LogMel, 8000, mels=12, frame_ms=25.0, hop_ms=10.0)
    network: dict[str, Any] = {"classes": 2, "dim": 8, "blocks": 1, "heads": 2, "hidden": 16, "dropout": 0.1}
    network["max_length"] = 20
    return SpeechClassification(
        audio="audio",
        label="label",
        labels=("falling", "rising"),
        features=features(),
        max_length=20,
        build=lambda: SpeechClassifier(
            features=features(), stacked=2, reach=1, masked_bands=0.1, masked_time=0.1, **network
        ),
    )


def batch(task: SpeechClassification, path: Path, first: int, last: int) -> Batch:
    source = Source.open(str(path), None, task.columns)
    return task.collate(task.encode(source.read(first, last), "train"), "train", torch.Generator())


def test_a_row_costs_its_frames_and_none_is_dropped(task: SpeechClassification, path: Path) -> None:
    source = Source.open(str(path), None, task.columns)
    examples = task.encode(source.read(0, 6), "valid")
    assert examples.rows.tolist() == [0, 1, 2, 3, 4, 5]
    assert examples.lengths.tolist() == [18, 0, 1, 9, 20, 13]
    audio = examples.columns["audio"]
    assert isinstance(audio, Jagged)
    frames = task.features(audio)
    assert frames.layout.lengths.tolist() == examples.lengths.tolist()
    assert batch(task, path, 0, 6).events == 61


def test_an_empty_batch_costs_nothing_and_keeps_the_graph(task: SpeechClassification, path: Path) -> None:
    empty = batch(task, path, 0, 0)
    network = task.network()
    output = task.forward(network, {}, empty)
    loss = task.loss(output, {}, empty)
    loss.backward()
    assert (empty.targets, empty.events, output.shape, loss.item()) == (0, 0, (0, 2), 0.0)
    assert all(p.grad is not None and not p.grad.any() for p in network.parameters())


def test_training_learns_to_tell_rising_from_falling(task: SpeechClassification, path: Path) -> None:
    engine = ReferenceEngine(
        task, optimizer=NetworkOptimizer("adamw", 1e-2), table_optimizers={}, seed=0, device=torch.device("cpu")
    )
    made = batch(task, path, 3, 6)
    for _ in range(30):
        engine.step([made], 3, 1.0)
    evaluation = task.evaluation("test", Collective(), engine.shards)
    evaluation.update(engine.evaluate([made])[0], made)
    assert evaluation.result()["accuracy"] == 1.0


def test_a_recording_of_another_rate_is_refused(path: Path) -> None:
    with pytest.raises(UserError, match=r"x.parquet row 5: .* 16000 samples a second, but data.sampling_rate=8000"):
        check_sampling_rate(str(path), "train", 8000)


def test_files_that_state_no_rate_are_taken_at_the_job_s_word(tmp_path: Path) -> None:
    pq.write_table(pa.table({"label": [1]}), tmp_path / "x.parquet")
    check_sampling_rate(str(tmp_path), "train", 8000)
