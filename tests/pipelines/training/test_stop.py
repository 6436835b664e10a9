"""A request to stop: everything is saved at that very step, and the resumed run ends with the same bits."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.pipelines.course import Run, write_histories
from tests.plugins.hybrid.training import differences

from saccade.pipelines.errors import UserError
from saccade.pipelines.training.stop import Stop, Stopped

COURSE = {"save_every": 1e9, "log_every": 3}


@pytest.fixture(autouse=True)
def unasked() -> Iterator[None]:
    Stop.clear()
    yield
    Stop.clear()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_histories(tmp_path_factory.mktemp("histories"))


@pytest.fixture(scope="module")
def straight(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return Run(data, tmp_path_factory.mktemp("straight"), **COURSE).go()


def assert_equal_runs(one: Run, other: Run) -> None:
    assert max(differences(one.checkpoint(), other.checkpoint()).values()) == 0
    for name in ("step", "epoch", "rows", "events", "best", "stale", "metrics", "positions"):
        assert getattr(one.state, name) == getattr(other.state, name)


def ask_after(run: Run, steps: int) -> None:
    """Ask to stop while a step is taken: the request is noticed before the next one."""
    taken = run.engine.step

    def step(*arguments: object) -> object:
        result = taken(*arguments)  # type: ignore[arg-type]
        if run.state.step + 1 == steps:
            Stop.request()
        return result

    run.engine.step = step  # type: ignore[assignment,method-assign]


@pytest.mark.parametrize("after", [1, 4, 7])
def test_stopped_in_the_middle_of_an_epoch(data: Path, straight: Run, tmp_path: Path, after: int) -> None:
    first = Run(data, tmp_path, **COURSE)
    ask_after(first, after)
    with pytest.raises(Stopped):
        first.go()
    assert first.steps == [first.state.step] == [after + 1]
    assert first.checkpoint().manifest.training["rows"] > 0
    Stop.clear()
    second = Run(data, tmp_path, **COURSE).go()
    assert_equal_runs(second, straight)
    # Also the lines that are means over steps before and after the stop.
    assert first.tracker.lines + second.tracker.lines == straight.tracker.lines


def test_stopped_at_an_epochs_end_it_still_evaluates(data: Path, straight: Run, tmp_path: Path) -> None:
    epoch = straight.state.step // 2
    first = Run(data, tmp_path, **COURSE)
    ask_after(first, epoch)
    with pytest.raises(Stopped):
        first.go()
    assert first.steps == [epoch]
    assert first.state.metrics == {}
    Stop.clear()
    second = Run(data, tmp_path, **COURSE).go()
    assert_equal_runs(second, straight)
    assert first.tracker.lines + second.tracker.lines == straight.tracker.lines


def test_stopped_in_an_evaluation_it_evaluates_again(data: Path, straight: Run, tmp_path: Path) -> None:
    first = Run(data, tmp_path, **COURSE)
    measure = first.validate

    def validate() -> dict[str, float]:
        Stop.request()
        return measure()

    first.validate = validate
    with pytest.raises(Stopped):
        first.go()
    assert first.steps == [straight.state.step // 2]
    assert first.state.best == []
    Stop.clear()
    second = Run(data, tmp_path, **COURSE).go()
    assert_equal_runs(second, straight)
    assert first.tracker.lines + second.tracker.lines == straight.tracker.lines


def test_a_file_in_the_runs_folder_is_a_request(data: Path, tmp_path: Path) -> None:
    (tmp_path / "stop").touch()
    run = Run(data, tmp_path, **COURSE)
    with pytest.raises(Stopped):
        run.go()
    assert run.steps == [1]


def test_the_save_in_flight_is_finished_too(data: Path, tmp_path: Path) -> None:
    run = Run(data, tmp_path, save_every=1e-9)
    ask_after(run, 5)
    with pytest.raises(Stopped):
        run.go()
    assert run.steps[-1] == 6
    assert len(run.steps) > 1
    for step in run.steps:
        run.checkpoint(step).verify()


def test_a_stop_that_can_not_be_saved_is_an_error(data: Path, tmp_path: Path) -> None:
    (tmp_path / "checkpoints").write_text("in the way")
    run = Run(data, tmp_path, on_save_error="continue", **COURSE)
    ask_after(run, 2)
    with pytest.raises(UserError, match="checkpoint step-00000003 could not be written"):
        run.go()


def test_a_file_is_looked_for_now_and_then(tmp_path: Path) -> None:
    stop = Stop(tmp_path)
    assert not stop.requested()
    (tmp_path / "stop").touch()
    assert not stop.requested()  # too soon
    stop._looked -= 1
    assert stop.requested()
    (tmp_path / "stop").unlink()
    assert Stop().requested()  # the process was asked


def test_a_signal_handler_may_ask() -> None:
    before = signal.signal(signal.SIGUSR1, lambda number, frame: Stop.request())
    try:
        signal.raise_signal(signal.SIGUSR1)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert Stop().requested()
