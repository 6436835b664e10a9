"""What only one of two ranks sees, a NaN or a request to stop, both act on alike."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.pipelines.course import Run, write_histories
from tests.plugins.hybrid.training import Settings, differences
from tests.processes import run_ranks

from saccade.pipelines.errors import UserError
from saccade.pipelines.training.stop import Stop, Stopped

pytestmark = pytest.mark.slow

HYBRID = Settings("hybrid", 2, "row")
TOLERANCE = 1e-5


def go(data: Path, folder: Path, harm: str | None = None, **course: Any) -> str:
    """How a training on this rank ends."""
    try:
        Run(data, folder, settings=HYBRID, harm=harm, **course).go()
    except UserError as error:
        return str(error)
    return "done"


def stopped_and_resumed(data: Path, folder: Path) -> tuple[int, int]:
    """Rank 1 is asked to stop while it takes its fourth step; the steps at which this rank stopped and ended."""
    run = Run(data, folder, settings=HYBRID, save_every=1e9)
    taken = run.engine.step

    def step(*arguments: Any) -> Any:
        if run.state.step == 3 and run.engine.collective.rank == 1:
            Stop.request()
        return taken(*arguments)

    run.engine.step = step  # type: ignore[method-assign]
    with pytest.raises(Stopped):
        run.go()
    Stop.clear()
    return run.state.step, Run(data, folder, settings=HYBRID, save_every=1e9).go().state.step


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_histories(tmp_path_factory.mktemp("histories"), bad=[30])


@pytest.fixture(scope="module")
def ended(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, list[Any]]]:
    """The folder of all trainings, and how each of them ended on either rank."""
    folder = tmp_path_factory.mktemp("ranks")
    calls = {
        "stop": partial(go, data, folder / "stop", "loss", on_not_finite="stop"),
        "gradient": partial(go, data, folder / "gradient", "gradient", on_not_finite="stop"),
        "skip": partial(go, data, folder / "skip", "loss", on_not_finite="skip"),
        "rollback": partial(go, data, folder / "rollback", "loss", on_not_finite="rollback"),
        "beside": partial(go, data, folder / "beside", save_every=1e-9),
        "straight": partial(go, data, folder / "straight", save_every=1e9),
        "resumed": partial(stopped_and_resumed, data, folder / "resumed"),
    }
    return folder, dict(zip(calls, run_ranks(2, list(calls.values()), folder / "processes"), strict=True))


def test_both_stop_with_the_same_words(ended: tuple[Path, dict[str, list[Any]]], data: Path) -> None:
    folder, ends = ended
    for name in ("stop", "gradient"):
        first, second = ends[name]
        assert first == second
        with pytest.raises(UserError) as alone:
            Run(data, folder / f"{name}-alone", harm="loss" if name == "stop" else "gradient").go()
        # One process says the same, but for a rounded digit of the loss.
        assert first.split(" in ", 1)[1] == str(alone.value).split(" in ", 1)[1]
        assert first.split(":")[0] == str(alone.value).split(":")[0]


@pytest.mark.parametrize("policy", ["skip", "rollback"])
def test_both_pass_over_it(ended: tuple[Path, dict[str, list[Any]]], data: Path, policy: str) -> None:
    folder, ends = ended
    assert ends[policy] == ["done", "done"]
    alone = Run(data, folder / f"{policy}-alone", harm="loss", on_not_finite=policy).go()
    both = Run(data, folder / policy)
    assert both.steps == alone.steps
    assert max(differences(both.checkpoint(), alone.checkpoint()).values()) < TOLERANCE
    skipped = [[line for line in run.log if "skipped" in line] for run in (both, alone)]
    assert skipped[0] == skipped[1]
    assert len(skipped[0]) == 2


def test_both_save_beside_the_training(ended: tuple[Path, dict[str, list[Any]]], data: Path) -> None:
    folder, ends = ended
    assert ends["beside"] == ["done", "done"]
    beside, straight = Run(data, folder / "beside"), Run(data, folder / "straight")
    assert len(beside.steps) > 2
    for step in beside.steps:
        beside.checkpoint(step).verify()
    assert max(differences(beside.checkpoint(), straight.checkpoint()).values()) == 0


def test_both_stop_when_one_is_asked(ended: tuple[Path, dict[str, list[Any]]], data: Path) -> None:
    folder, ends = ended
    straight, resumed = Run(data, folder / "straight"), Run(data, folder / "resumed")
    assert ends["resumed"] == [(5, straight.state.step)] * 2
    assert 5 in resumed.steps
    assert max(differences(resumed.checkpoint(), straight.checkpoint()).values()) == 0
