"""Saving beside the training: how often, what is removed, and what happens when it fails."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.pipelines.course import Run, Tracker, write_histories
from tests.plugins.hybrid.training import differences

from saccade.pipelines.errors import UserError

ALWAYS, NEVER = 1e-9, 1e9
FAILED = r"checkpoint step-\d{8} could not be written to \S+checkpoints: "


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_histories(tmp_path_factory.mktemp("histories"))


@pytest.fixture(scope="module")
def each_step(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Saved at each step, training waiting for it."""
    return Run(data, tmp_path_factory.mktemp("each")).go()


def test_what_is_written_meanwhile_is_the_state_at_the_step(data: Path, each_step: Run, tmp_path: Path) -> None:
    run = Run(data, tmp_path, save_every=ALWAYS).go()
    assert len(run.steps) > 2
    for step in run.steps:
        run.checkpoint(step).verify()
        assert max(differences(run.checkpoint(step), each_step.checkpoint(step)).values()) == 0
        ours, theirs = (each.checkpoint(step).manifest.training for each in (run, each_step))
        for name in ("step", "epoch", "rows", "positions", "best", "events"):
            assert ours[name] == theirs[name]


def test_only_the_newest_and_the_best_stay(data: Path, tmp_path: Path) -> None:
    values = iter([0.1, 0.5, 0.2, 0.3])
    run = Run(data, tmp_path, save_every=ALWAYS, epochs=4, keep_last=2)
    run.validate = lambda: {"valid/ndcg@10": next(values)}
    run.go()
    ends = list(run.tracker.of("valid/ndcg@10"))
    assert run.state.best == [(0.5, ends[1]), (0.3, ends[3]), (0.2, ends[2]), (0.1, ends[0])]
    assert len(run.steps) == 3
    assert [run.steps[0], run.steps[-1]] == [ends[1], ends[3]]


def test_a_failure_ends_the_training(data: Path, tmp_path: Path) -> None:
    (tmp_path / "checkpoints").write_text("in the way")
    with pytest.raises(UserError, match=FAILED):
        Run(data, tmp_path, save_every=ALWAYS).go()


def test_or_is_a_warning_and_the_next_save_is_tried(data: Path, each_step: Run, tmp_path: Path) -> None:
    """Something is in the way of the checkpoints for the steps 3 to 6."""
    folder, aside = tmp_path / "checkpoints", tmp_path / "aside"

    def disturb(step: int) -> None:
        if step == 3:
            folder.rename(aside)
            folder.write_text("in the way")
        if step == 6:
            folder.unlink()
            aside.rename(folder)

    run = Run(data, tmp_path, save_every=0.0, on_save_error="continue", tracker=Tracker(disturb)).go()
    warned = [line for line in run.log if line.startswith("WARNING")]
    assert len(warned) == 3
    assert all(line.endswith("older checkpoints are untouched; training goes on") for line in warned)
    assert run.steps == [step for step in each_step.steps if step not in (3, 4, 5)]
    assert max(differences(run.checkpoint(), each_step.checkpoint()).values()) == 0
    for step in run.steps:
        run.checkpoint(step).verify()


def test_the_best_that_was_saved_is_the_best(data: Path, tmp_path: Path) -> None:
    """The save after the best evaluation fails: the checkpoint of the one before it stays."""
    folder, aside = tmp_path / "checkpoints", tmp_path / "aside"
    values = iter([0.4, 0.5, 0.2, 0.3])
    run = Run(data, tmp_path, save_every=NEVER, epochs=4, keep_last=1, on_save_error="continue")

    def validate() -> dict[str, float]:
        value = next(values)
        if value == 0.5:
            folder.rename(aside)
            folder.write_text("in the way")
        elif aside.exists():
            folder.unlink()
            aside.rename(folder)
        return {"valid/ndcg@10": value}

    run.validate = validate
    run.go()
    ends = list(run.tracker.of("valid/ndcg@10"))
    assert run.steps == [ends[0], ends[3]]
    assert run.state.best[0] == (0.5, ends[1])
    assert run.state.best_saved(folder) == [ends[0], ends[3]]


def test_at_the_end_of_a_run_it_is_an_error_all_the_same(data: Path, tmp_path: Path) -> None:
    (tmp_path / "checkpoints").write_text("in the way")
    run = Run(data, tmp_path, save_every=NEVER, on_save_error="continue")
    with pytest.raises(UserError, match=FAILED):
        run.go()
    assert run.state.epoch == 2
    assert sum(line.startswith("WARNING checkpoint") for line in run.log) == 2
