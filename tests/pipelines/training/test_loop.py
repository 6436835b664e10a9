"""The training loop on the reference engine: stopping, going on, and what is kept."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.plugins.hybrid.training import Settings, StoppedError, differences, run_course, write_histories

from saccade.pipelines.checkpoint.reader import CheckpointReader
from saccade.pipelines.errors import UserError
from saccade.pipelines.training.schedule import Schedule

EPOCH = 11
"""Steps of one epoch of these histories; a test of its own says so."""


class Lines:
    """A tracker that keeps what it is told, and raises at a step."""

    def __init__(self, stop: int | None = None) -> None:
        self.lines: list[tuple[int, dict[str, float]]] = []
        self.stop = stop

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        if step == self.stop:
            raise StoppedError
        timeless = ("train/events_per_second", "train/step_seconds", "train/data_wait")
        self.lines.append((step, {name: value for name, value in metrics.items() if name not in timeless}))

    def finish(self, result: Mapping[str, Any]) -> None:
        raise AssertionError("the loop doesn't know the result")


def steps(folder: Path) -> list[int]:
    return sorted(int(path.name.removeprefix("step-")) for path in folder.glob("step-*"))


def last(folder: Path) -> CheckpointReader:
    return CheckpointReader(max(folder.glob("step-*")))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("histories")
    write_histories(folder)
    return folder


@pytest.fixture(scope="module")
def straight(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Lines, Any]:
    folder, lines = tmp_path_factory.mktemp("straight"), Lines()
    return folder, lines, run_course(Settings(), data, folder, trackers=[lines])


def test_a_straight_run(straight: tuple[Path, Lines, Any]) -> None:
    folder, lines, state = straight
    assert (state.epoch, state.step) == (2, 2 * EPOCH)
    logged = [step for step, metrics in lines.lines if "train/loss" in metrics]
    assert logged == list(range(1, 2 * EPOCH + 1))
    evaluated = [step for step, metrics in lines.lines if "valid/ndcg@10" in metrics]
    assert evaluated == [EPOCH, 2 * EPOCH]
    assert steps(folder) == logged
    progress = [metrics["train/epoch"] for _, metrics in lines.lines if "train/epoch" in metrics]
    assert progress == sorted(progress)
    assert (progress[EPOCH - 1], progress[-1]) == (1.0, 2.0)


@pytest.mark.parametrize("stop", [1, 4, EPOCH, EPOCH + 3, 2 * EPOCH])
def test_stopped_anywhere_it_ends_with_the_same_bits(
    data: Path, straight: tuple[Path, Lines, Any], tmp_path: Path, stop: int
) -> None:
    """The tracker raises at step ``stop``, whose checkpoint therefore isn't written."""
    first, second = Lines(stop), Lines()
    run_course(Settings(), data, tmp_path, trackers=[first])
    assert steps(tmp_path) == list(range(1, stop))
    state = run_course(Settings(), data, tmp_path, trackers=[second])
    folder, lines, expected = straight
    assert first.lines + second.lines == lines.lines
    assert max(differences(last(folder), last(tmp_path)).values()) == 0
    for name in ("step", "epoch", "rows", "events", "best", "stale", "metrics", "positions"):
        assert getattr(state, name) == getattr(expected, name)


def test_a_finished_run_stays_and_more_epochs_go_on(data: Path, tmp_path: Path) -> None:
    settings = {"schedule": Schedule()}
    short, longer = tmp_path / "short", tmp_path / "long"
    assert run_course(Settings(), data, short, epochs=1, **settings).step == EPOCH
    again = Lines()
    assert run_course(Settings(), data, short, trackers=[again], epochs=1, **settings).step == EPOCH
    assert again.lines == []
    assert run_course(Settings(), data, short, epochs=2, **settings).step == 2 * EPOCH
    run_course(Settings(), data, longer, epochs=2, **settings)
    assert max(differences(last(short), last(longer)).values()) == 0


def test_only_the_latest_and_the_best_checkpoint_stay(data: Path, tmp_path: Path) -> None:
    values = iter([0.1, 0.5, 0.5, 0.2])
    state = run_course(
        Settings(),
        data,
        tmp_path,
        epochs=4,
        keep_last=2,
        save_every=math.inf,
        validate=lambda: {"valid/ndcg@10": next(values)},
    )
    assert state.best == [(0.5, 2 * EPOCH), (0.5, 3 * EPOCH), (0.2, 4 * EPOCH), (0.1, EPOCH)]
    assert steps(tmp_path) == [2 * EPOCH, 3 * EPOCH, 4 * EPOCH]
    assert state.stale == 2


def test_patience_ends_the_training(data: Path, tmp_path: Path) -> None:
    values = iter([0.1, 0.3, 0.3, 0.2, 0.9])
    changes: dict[str, Any] = {
        "epochs": 5,
        "patience": 2,
        "save_every": math.inf,
        "validate": lambda: {"valid/ndcg@10": next(values)},
    }
    state = run_course(Settings(), data, tmp_path, **changes)
    assert (state.epoch, state.finished) == (4, True)
    assert run_course(Settings(), data, tmp_path, **changes).epoch == 4


def test_evaluates_every_so_many_epochs_and_at_the_end(data: Path, tmp_path: Path) -> None:
    lines = Lines()
    run_course(
        Settings(), data, tmp_path, trackers=[lines], epochs=3, evaluate_every=2, log_every=10**9, save_every=math.inf
    )
    assert [step for step, _ in lines.lines] == [2 * EPOCH, 3 * EPOCH]
    assert steps(tmp_path) == [2 * EPOCH, 3 * EPOCH]


def test_without_a_validation_split_the_end_is_saved(data: Path, tmp_path: Path) -> None:
    state = run_course(Settings(), data, tmp_path, validate=None, save_every=math.inf)
    assert state.best == []
    assert steps(tmp_path) == [EPOCH, 2 * EPOCH]


def test_the_gradients_norm_is_logged(straight: tuple[Path, Lines, Any]) -> None:
    _, lines, _ = straight
    norms = [metrics["train/gradient_norm"] for _, metrics in lines.lines if "train/loss" in metrics]
    assert len(norms) == 2 * EPOCH
    assert all(0 < norm < 100 for norm in norms)
    assert not any("train/overflows" in metrics for _, metrics in lines.lines)


def test_a_metric_that_is_not_measured_is_named(data: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"evaluate.select=valid/accuracy is not measured: choose one of valid/hr@10, "):
        run_course(Settings(), data, tmp_path, select="valid/accuracy")
