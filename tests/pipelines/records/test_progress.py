import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saccade.pipelines.records.progress import Progress, Rate


def state(folder: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((folder / "progress.json").read_text())
    return read


def test_a_new_phase_is_written_at_once_and_the_rest_seldom(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "a"
    progress = Progress(folder, seconds_between=3600)
    progress.update(phase="starting")
    assert state(folder)["phase"] == "starting"
    progress.update(phase="training", step=1, epochs=2.0, loss=4.5)
    progress.update(phase="training", step=2, loss=4.0)
    assert (state(folder)["step"], state(folder)["loss"]) == (1, 4.5)
    progress.update(phase="evaluating", fraction=0.5)
    now = state(folder)
    assert (now["step"], now["loss"], now["epochs"], now["fraction"]) == (2, 4.0, 2.0, 0.5)
    assert now["time"] > 0
    assert [path.name for path in folder.iterdir()] == ["progress.json"]


def test_without_a_wait_every_update_is_written(tmp_path: Path) -> None:
    progress = Progress(tmp_path, seconds_between=0)
    for step in range(3):
        progress.update(phase="training", step=step, events_per_second=1e3, eta_seconds=9.0, epoch=0.1)
        assert state(tmp_path)["step"] == step


def test_messages_are_lines_with_a_time(tmp_path: Path) -> None:
    progress = Progress(tmp_path)
    progress.message("resumed at step 3")
    progress.message("two\nlines", level="WARNING")
    first, second = (tmp_path / "log.txt").read_text().splitlines()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d INFO resumed at step 3", first)
    assert second.endswith(" WARNING two lines")


def test_other_ranks_write_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    progress = Progress(None)
    progress.update(phase="training", step=1)
    progress.message("hello")
    assert not list(tmp_path.iterdir())


def test_rate_looks_back_over_its_window() -> None:
    rate = Rate(window=10)
    assert rate.events_per_second is None
    for _ in range(10):
        rate.add(100, 1.0)
    assert rate.events_per_second == 100
    for _ in range(10):
        rate.add(500, 1.0)
    assert rate.events_per_second == 500


@given(st.lists(st.tuples(st.integers(0, 10**6), st.floats(1e-3, 100)), min_size=1))
def test_rate_lies_between_the_slowest_and_the_fastest_step(steps: list[tuple[int, float]]) -> None:
    rate = Rate(window=5)
    for events, seconds in steps:
        rate.add(events, seconds)
    each = [events / seconds for events, seconds in steps]
    assert rate.events_per_second is not None
    assert min(each) * 0.999 - 1e-3 <= rate.events_per_second <= max(each) * 1.001 + 1e-3


def test_eta_counts_from_where_this_start_began() -> None:
    rate = Rate()
    assert rate.eta_seconds(0.5, now=100.0) is None
    assert rate.eta_seconds(0.6, now=110.0) == pytest.approx(40.0)
    assert rate.eta_seconds(1.0, now=150.0) == pytest.approx(0.0)
