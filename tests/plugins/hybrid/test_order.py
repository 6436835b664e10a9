"""The rows of every step, recorded by real processes: the same for any number of them, resized or killed.

Each start forks from a process that has imported everything; the run of two workers that nothing disturbs is shared.
"""

from collections import Counter
from pathlib import Path

import pytest
import torch
from tests.plugins.hybrid.recorded import EPOCHS, Recorded, run_killed, run_to_end
from tests.plugins.hybrid.training import Settings, differences, write_histories

from saccade.models.jagged import Jagged
from saccade.pipelines.checkpoint.reader import CheckpointReader
from saccade.pipelines.checkpoint.retention import checkpoints
from saccade.pipelines.parquet.schema import Column
from saccade.pipelines.parquet.source import Source

pytestmark = pytest.mark.slow

SETTINGS = Settings("hybrid", 2, "row")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_histories(folder, users=600)
    return folder


@pytest.fixture(scope="module")
def undisturbed(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    run = Recorded(tmp_path_factory.mktemp("undisturbed"))
    run_to_end(SETTINGS, data, run, workers=2)
    return run


def final(run: Recorded) -> CheckpointReader:
    return CheckpointReader(checkpoints(run.checkpoints)[-1])


def test_every_epoch_has_every_row_once(data: Path, undisturbed: Recorded) -> None:
    history = (source := Source.open(str(data), None, [Column("history", "integers")])).read(0, source.rows)
    column = history.columns["history"]
    assert isinstance(column, Jagged)
    long_enough = torch.arange(source.rows)[column.layout.lengths >= 4].tolist()
    epochs = undisturbed.epochs()
    assert len(epochs) == EPOCHS
    for rows in epochs.values():
        assert Counter(rows) == Counter(long_enough)
    assert len({tuple(rows) for rows in epochs.values()}) == EPOCHS


@pytest.mark.parametrize("workers", [1, 3, 4])
def test_other_workers_see_the_same_rows(data: Path, undisturbed: Recorded, tmp_path: Path, workers: int) -> None:
    run = Recorded(tmp_path / "run")
    run_to_end(SETTINGS, data, run, workers)
    assert run.rows() == undisturbed.rows()
    found = max(differences(final(run), final(undisturbed)).values())
    print(f"{workers} workers instead of 2: largest difference {found:.1e} after {final(run).manifest.step} steps")
    assert found < 1e-4


def test_resized_in_the_middle_of_an_epoch(data: Path, undisturbed: Recorded, tmp_path: Path) -> None:
    run = Recorded(tmp_path / "run")
    run_to_end(SETTINGS, data, run, workers=2, stop_at=5)
    assert final(run).manifest.step == 6
    run_to_end(SETTINGS, data, run, workers=1, stop_at=11)
    run_to_end(SETTINGS, data, run, workers=2)
    assert run.starts == 3
    assert run.rows() == undisturbed.rows()
    assert run.epochs() == undisturbed.epochs()
    assert max(differences(final(run), final(undisturbed)).values()) < 1e-4


def test_killed_ten_times(data: Path, undisturbed: Recorded, tmp_path: Path) -> None:
    run = Recorded(tmp_path / "run")
    run_killed(SETTINGS, data, run, workers=2, kills=10, seed=0)
    assert run.rows() == undisturbed.rows()
    assert run.epochs() == undisturbed.epochs()
    # Weights and optimizer state, to the last bit.
    assert max(differences(final(run), final(undisturbed)).values()) == 0
    assert final(run).manifest.training["positions"] == final(undisturbed).manifest.training["positions"]
