"""bf16 and fp16 on two ranks, against the reference engine in the same precision."""

import math
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from tests.plugins.hybrid.training import Settings, call, differences, opened, train, write_histories
from tests.processes import run_ranks

from saccade.pipelines.engines.engine import StepResult
from saccade.pipelines.optimizers import TableOptimizer

pytestmark = pytest.mark.slow

ADAM = TableOptimizer("adam", 1e-3, weight_decay=0.1)
# A loss scale so large that gradients of fp16 overflow until it has been halved often enough.
FORCED = 2.0**28
TRAININGS = {
    "bf16": Settings("hybrid", 2, "row", precision="bf16", table=ADAM),
    "bf16-clipped": Settings("hybrid", 3, "column", precision="bf16", clip=0.1),
    "fp16": Settings("hybrid", 2, "row", precision="fp16", table=ADAM),
    "fp16-clipped": Settings("hybrid", 3, "replicated", precision="fp16", clip=0.1),
    "overflow-zero0": Settings("hybrid", 0, "row", precision="fp16", loss_scale=FORCED, table=ADAM),
    "overflow-zero1": Settings("hybrid", 1, "table", precision="fp16", loss_scale=FORCED, table=ADAM),
    "overflow-zero2": Settings("hybrid", 2, "column", precision="fp16", loss_scale=FORCED, table=ADAM),
    "overflow-zero3": Settings("hybrid", 3, "replicated", precision="fp16", loss_scale=FORCED, table=ADAM),
    "one-overflow": Settings("hybrid", 2, "row", precision="fp16", loss_scale=FORCED, table=ADAM, steps=1),
    "nothing": Settings("hybrid", 2, "row", precision="fp16", table=ADAM, steps=0),
}


@dataclass(frozen=True)
class Trained:
    folder: Path
    data: Path
    ranks: dict[str, list[list[StepResult]]]

    def reference(self, settings: Settings) -> list[StepResult]:
        return train(settings.recipe, self.data, self.folder / f"reference-{abs(hash(settings.recipe))}")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("precision")
    data = folder / "data"
    data.mkdir()
    write_histories(data)
    calls = [call(settings, data, folder / name) for name, settings in TRAININGS.items()]
    return Trained(folder, data, dict(zip(TRAININGS, run_ranks(2, calls, folder / "ranks"), strict=True)))


@pytest.mark.parametrize("name", ["bf16", "bf16-clipped", "fp16", "fp16-clipped"])
def test_the_loss_curve_is_the_references(trained: Trained, name: str) -> None:
    """It stays closer to the reference's in the same precision than that one does to float32."""
    settings = TRAININGS[name]
    same = trained.reference(settings)
    full = trained.reference(replace(settings, precision="fp32"))
    bound = max(abs(a.loss - b.loss) for a, b in zip(same, full, strict=True))
    assert 1e-6 < bound < 0.05
    for rank in trained.ranks[name]:
        assert all(step.outcome == "stepped" for step in rank)
        apart = max(abs(a.loss - b.loss) for a, b in zip(rank, same, strict=True))
        print(f"{name}: {apart:.1e} from the reference's curve, which is {bound:.1e} from float32's")
        assert apart < bound


@pytest.mark.parametrize("stage", range(4))
def test_a_forced_overflow_skips_the_step_on_every_rank(trained: Trained, stage: int) -> None:
    name = f"overflow-zero{stage}"
    ranks = trained.ranks[name]
    outcomes = [[step.outcome for step in rank] for rank in ranks]
    assert outcomes[0] == outcomes[1] == [step.outcome for step in trained.reference(TRAININGS[name])]
    skipped = outcomes[0].index("stepped")
    assert 5 < skipped < 20
    assert set(outcomes[0][:skipped]) == {"overflow"}
    assert all(not math.isfinite(step.gradient_norm) for step in ranks[0][:skipped])
    engine = opened(trained.folder / name).manifest.engine
    overflows = outcomes[0].count("overflow")
    assert (engine["loss_scale"], engine["steps"]) == (FORCED / 2**overflows, 20 - overflows)


def test_a_skipped_step_changes_no_tensor(trained: Trained) -> None:
    before, after = opened(trained.folder / "nothing"), opened(trained.folder / "one-overflow")
    assert [step.outcome for step in trained.ranks["one-overflow"][0]] == ["overflow"]
    weights = {name: value for name, value in before.network.items() if name.startswith("weight/")}
    assert all(torch.equal(after.network[name], value) for name, value in weights.items())
    for state in ("weight", *before.states("items")):
        assert torch.equal(before.table("items", state), after.table("items", state))


def test_differences_are_seen(trained: Trained) -> None:
    """What the test above would see: the trainings that went on have moved."""
    before, after = opened(trained.folder / "nothing"), opened(trained.folder / "overflow-zero2")
    assert set(before.manifest.tables) == set(after.manifest.tables)
    assert float((before.table("items", "weight") - after.table("items", "weight")).abs().max()) > 1e-4
    assert max(differences(after, after).values()) == 0
