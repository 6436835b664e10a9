"""Every next-item model and way of drawing negatives on two workers: the reference engine's weights, and a resume."""

from dataclasses import replace
from pathlib import Path

import pytest
from tests.plugins.hybrid.models import MODELS
from tests.plugins.hybrid.training import Settings, call, differences, opened, train, write_histories
from tests.processes import run_ranks

pytestmark = pytest.mark.slow

TOLERANCE, STEPS, HALF = 1e-5, 12, 6
ZERO3 = ("hstu-timed", "gru4rec", "bert4rec", "two-towers", "features-concat")
"""Networks with parameters of a kind that others don't have: the stage that cuts parameters is hardest on them."""

SETTINGS = {
    name: Settings("hybrid", 3 if name in ZERO3 else number % 3, "row", lanes=3, model=name, steps=STEPS)
    for number, name in enumerate(MODELS)
}
"""Every ZeRO stage has its turn; three lanes leave one worker with an empty micro-batch in each step."""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    data = folder / "data"
    data.mkdir()
    write_histories(data)
    calls = []
    for name, settings in SETTINGS.items():
        train(settings.recipe, data, folder / f"{name}-reference")
        train(replace(settings.recipe, steps=HALF), data, folder / f"{name}-half")
        calls.append(call(settings, data, folder / f"{name}-two"))
        calls.append(call(replace(settings, first=HALF), data, folder / f"{name}-resumed", folder / f"{name}-half"))
    run_ranks(2, calls, folder / "ranks")
    return folder


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("how", ["two", "resumed"])
def test_two_workers_and_a_resume_give_the_reference_weights(trained: Path, name: str, how: str) -> None:
    found = differences(opened(trained / f"{name}-reference"), opened(trained / f"{name}-{how}"))
    print(f"{name}, {how}: largest difference {max(found.values()):.1e}")
    assert {tensor: value for tensor, value in found.items() if value > TOLERANCE} == {}


@pytest.mark.parametrize("name", MODELS)
def test_training_has_moved_every_tensor(trained: Path, name: str) -> None:
    """What equality is worth: between half of the steps and all of them each weight has changed."""
    half, whole = opened(trained / f"{name}-half"), opened(trained / f"{name}-reference")
    weights = [tensor for tensor in half.network if tensor.startswith("weight/")]
    moved = {tensor: float((half.network[tensor] - whole.network[tensor]).abs().max()) for tensor in weights}
    moved |= {
        table: float((half.table(table, "weight") - whole.table(table, "weight")).abs().max())
        for table in half.manifest.tables
    }
    assert {tensor: value for tensor, value in moved.items() if value < 10 * TOLERANCE} == {}
