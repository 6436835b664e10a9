"""A loss or gradient that is NaN: what each policy does, and what it says."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from tests.pipelines.course import Run, Tracker, write_histories
from tests.plugins.hybrid.training import Settings, differences

from saccade.pipelines.errors import UserError
from saccade.pipelines.optimizers import NetworkOptimizer

ROW = 30


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_histories(tmp_path_factory.mktemp("histories"), bad=[ROW])


@pytest.fixture(scope="module")
def skipped(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return Run(data, tmp_path_factory.mktemp("skipped"), harm="loss", on_not_finite="skip").go()


def bad_steps(run: Run) -> list[int]:
    return [int(found[1]) for line in run.log if (found := re.match(r"WARNING step (\d+) skipped", line))]


def test_skip_goes_on_without_the_step(data: Path, skipped: Run, tmp_path: Path) -> None:
    steps = bad_steps(skipped)
    per_epoch = skipped.state.step // 2
    assert len(steps) == 2
    assert steps[0] <= per_epoch < steps[1]
    for step, line in zip(steps, [line for line in skipped.log if "skipped" in line], strict=True):
        assert re.fullmatch(
            rf"WARNING step {step} skipped: loss nan, gradient norm nan, in \d+ rows?: {data}/part-0.parquet row "
            r"[\d, …]+(; \S+/part-1.parquet row [\d, …]+)?",
            line,
        )
    losses = skipped.tracker.of("train/loss")
    assert [step for step, loss in losses.items() if loss != loss] == steps
    assert sorted(losses) == list(range(1, skipped.state.step + 1))
    # A checkpoint waits for a good step.
    assert skipped.steps == [step for step in losses if step not in steps]
    # The rows' order isn't disturbed by it.
    assert Run(data, tmp_path).go().state.step == skipped.state.step


def test_a_skipped_step_changes_nothing(data: Path, tmp_path: Path) -> None:
    weights: list[torch.Tensor] = []
    run = Run(
        data,
        tmp_path,
        harm="loss",
        on_not_finite="skip",
        save_every=1e9,
        tracker=Tracker(lambda step: weights.append(run.engine.shards("items")[0].weight.clone())),
        epochs=1,
    )
    run.go()
    (bad,) = bad_steps(run)
    same = [torch.equal(before, after) for before, after in pairwise(weights)]
    assert [step for step, equal in enumerate(same, start=2) if equal and step <= bad] == [bad]


def test_the_culprits_are_named(data: Path, tmp_path: Path) -> None:
    """Of the micro-batch with the bad row only, or of the whole step where no micro-batch's own loss tells."""
    messages = {}
    for harm in ("loss", "gradient"):
        run = Run(data, tmp_path / harm, harm=harm)
        with pytest.raises(UserError, match=r"step \d+ is not finite: loss (nan|\d\.\d+), gradient norm nan") as error:
            run.go()
        messages[harm] = str(error.value)
        assert "Set train.on_not_finite to skip or rollback" in messages[harm]
        assert "part-0.parquet row" in messages[harm]
    rows = {harm: int(re.findall(r"in (\d+) rows?:", text)[0]) for harm, text in messages.items()}
    assert 1 <= rows["loss"] < rows["gradient"]


def test_stop_saves_what_was_before_and_nothing_after(data: Path, skipped: Run, tmp_path: Path) -> None:
    run = Run(data, tmp_path, harm="loss", save_every=1e-9)
    with pytest.raises(UserError, match="is not finite"):
        run.go()
    bad = bad_steps(skipped)[0]
    assert run.steps
    assert run.steps[-1] < bad
    run.checkpoint().verify()
    assert list((tmp_path / "checkpoints").glob("*.writing")) == []
    # The same command goes on from there; without the harm it gets past that step.
    again = Run(data, tmp_path).go()
    assert again.state.step == skipped.state.step


def test_rollback_to_the_step_before_is_a_skip(data: Path, skipped: Run, tmp_path: Path) -> None:
    run = Run(data, tmp_path, harm="loss", on_not_finite="rollback").go()
    assert bad_steps(run) == bad_steps(skipped)
    assert f"back to the weights of step-{bad_steps(run)[0] - 1:08d}" in "".join(run.log)
    assert max(differences(run.checkpoint(), skipped.checkpoint()).values()) == 0
    assert run.tracker.of("valid/ndcg@10") == skipped.tracker.of("valid/ndcg@10")


def test_rollback_takes_weights_and_optimizer_of_the_checkpoint_and_goes_on(data: Path, tmp_path: Path) -> None:
    states: dict[int, dict[str, torch.Tensor]] = {}

    def keep(step: int) -> None:
        (shard,) = run.engine.shards("items")
        states[step] = {name: t.clone() for name, t in {"weight": shard.weight, **shard.optimizer}.items()}

    first = Run(data, tmp_path, epochs=1, save_every=1e9).go()
    end = first.state.step
    run = Run(data, tmp_path, harm="loss", on_not_finite="rollback", save_every=1e9, tracker=Tracker(keep))
    run.go()
    (bad,) = bad_steps(run)
    assert bad > end + 1
    for name, tensor in states[bad].items():
        assert torch.equal(tensor, first.checkpoint(end).table("items", name))
        assert not torch.equal(tensor, states[bad - 1][name])
    assert not torch.equal(states[bad + 1]["weight"], states[bad]["weight"])
    assert run.state.step == 2 * end


def test_rollback_without_a_checkpoint_is_an_error(data: Path, tmp_path: Path) -> None:
    run = Run(data, tmp_path, harm="loss", on_not_finite="rollback", save_every=1e9)
    with pytest.raises(UserError, match=r"is not finite, and there is no checkpoint to roll back to: loss nan"):
        run.go()
    assert run.steps == []


@pytest.mark.parametrize("policy", ["skip", "rollback"])
def test_a_training_that_diverges_ends_all_the_same(data: Path, tmp_path: Path, policy: str) -> None:
    settings = Settings(network=NetworkOptimizer("sgd", 1e30))
    run = Run(data, tmp_path, settings=settings, on_not_finite=policy)
    with pytest.raises(UserError, match=r"^11 steps in a row are not finite, the last one step \d+: loss"):
        run.go()
    # Nothing was saved once it had gone wrong: a good checkpoint is still there.
    assert 1 <= len(run.steps) <= 3


def test_an_overflow_is_counted_and_passed_over(data: Path, tmp_path: Path) -> None:
    """The loss scale of fp16 finds its place: no message, no step lost from the count."""
    settings = Settings(precision="fp16")
    first = Run(data, tmp_path, settings=settings, epochs=1)
    first.engine.scaling.scale = 2.0**25  # type: ignore[attr-defined]
    first.go()
    overflows = first.tracker.of("train/overflows")
    losses = first.tracker.of("train/loss")
    lost = sum(loss != loss for loss in losses.values())
    assert lost > 1
    assert list(overflows.values())[:lost] == list(range(1, lost + 1))
    assert set(list(overflows.values())[lost:]) == {lost}
    assert sorted(losses) == list(range(1, first.state.step + 1))
    assert not [line for line in first.log if line.startswith("WARNING")]
    # A resumed run goes on counting.
    second = Run(data, tmp_path, settings=settings, epochs=2).go()
    assert set(second.tracker.of("train/overflows").values()) == {lost}
