"""The hybrid engine against the reference engine: any number of workers, ZeRO stage and sharding, the same weights.

All trainings share one start of two ranks and one start of a single one.
"""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pytest
from tests.plugins.hybrid.training import Settings, call, differences, opened, run_course, train, write_histories
from tests.processes import run_ranks

from saccade.pipelines.checkpoint.reader import CheckpointReader
from saccade.pipelines.optimizers import NetworkOptimizer, TableOptimizer

pytestmark = pytest.mark.slow

TOLERANCE = 1e-5

SGD, ADAGRAD = TableOptimizer("sgd", 0.5), TableOptimizer("adagrad", 0.05)
ROWWISE = TableOptimizer("rowwise_adagrad", 0.05)
ADAM, PLAIN = NetworkOptimizer("adam", 1e-3), NetworkOptimizer("sgd", 0.05, weight_decay=0.01)
ADAGRAD_NETWORK = NetworkOptimizer("adagrad", 0.01, weight_decay=0.01)

TWO_RANKS = {
    "zero0-row-adagrad-adamw": Settings("hybrid", 0, "row"),
    "zero0-table-sgd-sgd": Settings("hybrid", 0, "table", table=SGD, network=PLAIN),
    "zero1-table-rowwise-adam": Settings("hybrid", 1, "table", table=ROWWISE, network=ADAM, lanes=2),
    "zero1-row-adagrad-adagrad": Settings("hybrid", 1, "row", network=ADAGRAD_NETWORK),
    "zero2-column-adagrad-adamw": Settings("hybrid", 2, "column"),
    "zero2-auto-rowwise-adamw": Settings("hybrid", 2, "auto", table=ROWWISE),
    "zero2-row-own-negatives": Settings("hybrid", 2, "row", shared_negatives=False),
    "zero2-row-two-tables": Settings("hybrid", 2, "row", table=ADAGRAD, other_table=TableOptimizer("adagrad", 0.3)),
    "zero0-auto-two-optimizers": Settings("hybrid", 0, "auto", table=SGD, other_table=ROWWISE),
    "zero3-table-two-optimizers": Settings("hybrid", 3, "table", table=ROWWISE, other_table=SGD, lanes=2),
    "zero3-row-rowwise-adamw": Settings("hybrid", 3, "row", table=ROWWISE),
    "zero3-auto-adagrad-sgd": Settings("hybrid", 3, "auto", network=PLAIN),
    "zero3-column-adagrad-adagrad": Settings("hybrid", 3, "column", network=ADAGRAD_NETWORK, lanes=8),
}
ONE_RANK = {
    "zero0-auto-rowwise-adamw": Settings("hybrid", 0, "auto", table=ROWWISE),
    "zero1-row-sgd-adagrad": Settings("hybrid", 1, "row", table=SGD, network=ADAGRAD_NETWORK),
    "zero2-table-adagrad-adam": Settings("hybrid", 2, "table", network=ADAM, lanes=1),
    "zero3-column-rowwise-adamw": Settings("hybrid", 3, "column", table=ROWWISE),
    "zero3-row-two-optimizers": Settings("hybrid", 3, "row", table=ADAGRAD, other_table=ROWWISE),
}

# Each leg goes on from the checkpoint of the one before, on other engines and workers.
ADAGRAD_CHAIN = [
    (2, Settings("hybrid", 2, "row", steps=8)),
    (0, Settings("reference", first=8, steps=16)),
    (1, Settings("hybrid", 3, "column", first=16, steps=24)),
]
ROWWISE_CHAIN = [
    (0, Settings("reference", table=ROWWISE, other_table=SGD, network=ADAM, steps=8)),
    (2, Settings("hybrid", 3, "table", table=ROWWISE, other_table=SGD, network=ADAM, first=8, steps=16)),
    (1, Settings("hybrid", 0, "row", table=ROWWISE, other_table=SGD, network=ADAM, first=16, steps=24)),
]
ADAGRAD_NETWORK_CHAIN = [
    (0, Settings("reference", network=ADAGRAD_NETWORK, steps=8)),
    (2, Settings("hybrid", 1, "column", network=ADAGRAD_NETWORK, first=8, steps=16)),
    (1, Settings("hybrid", 2, "row", network=ADAGRAD_NETWORK, first=16, steps=24)),
]
CHAINS = {"adagrad": ADAGRAD_CHAIN, "rowwise": ROWWISE_CHAIN, "adagrad-network": ADAGRAD_NETWORK_CHAIN}


# Where the loop is stopped and started again: twice in one epoch.
STOPS = [(), (2, 4)]


def run_loop(data: Path, folder: Path, stops: tuple[int, ...]) -> list[float]:
    settings = Settings("hybrid", 2, "row")
    for stop in stops:
        run_course(settings, data, folder, (stop,))
    return list(run_course(settings, data, folder).metrics.values())


@dataclass(frozen=True)
class Trained:
    """Where the trainings left their checkpoints, and the losses of those that ran on two ranks."""

    folder: Path
    data: Path
    losses: dict[str, list[list[float]]]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("parity")
    data = folder / "data"
    data.mkdir()
    write_histories(data)
    losses: dict[str, list[list[float]]] = {}
    remaining = {name: list(enumerate(chain)) for name, chain in CHAINS.items()}

    def run(workers: int, single: dict[str, Settings]) -> None:
        """The parity trainings and every chain's legs that are due."""
        calls = {f"{workers}-{name}": call(s, data, folder / f"{workers}-{name}") for name, s in single.items()}
        for name, legs in remaining.items():
            if legs and legs[0][1][0] == workers:
                number, (_, settings) = legs.pop(0)
                start = folder / f"{name}-{number - 1}" if number else None
                calls[f"{name}-{number}"] = call(settings, data, folder / f"{name}-{number}", start)
        if workers == 2:
            for stops in STOPS:
                calls[f"loop-{stops}"] = partial(run_loop, data, folder / f"loop-{stops}", stops)
        if workers:
            losses.update(
                zip(calls, run_ranks(workers, list(calls.values()), folder / f"ranks-{workers}"), strict=True)
            )
        else:
            for one in calls.values():
                one()

    run(0, {})
    run(2, TWO_RANKS)
    run(0, {})
    run(1, ONE_RANK)
    assert not any(remaining.values())
    return Trained(folder, data, losses)


def reference(trained: Trained, settings: Settings) -> tuple[Path, list[float]]:
    output = trained.folder / f"reference-{abs(hash(settings.recipe))}"
    return output, train(settings.recipe, trained.data, output)


@pytest.mark.parametrize(
    ("workers", "name", "settings"),
    [(2, *item) for item in TWO_RANKS.items()] + [(1, *item) for item in ONE_RANK.items()],
    ids=[f"2-{name}" for name in TWO_RANKS] + [f"1-{name}" for name in ONE_RANK],
)
def test_equals_the_reference(trained: Trained, workers: int, name: str, settings: Settings) -> None:
    output, losses = reference(trained, settings)
    found = differences(opened(output), opened(trained.folder / f"{workers}-{name}"))
    print(f"{workers} workers, {name}: largest difference {max(found.values()):.1e}")  # shown by pytest -rP
    assert len(losses) == 20
    assert {tensor: value for tensor, value in found.items() if value > TOLERANCE} == {}
    # A rank's loss is its part of the step's.
    parts = zip(*trained.losses[f"{workers}-{name}"], strict=True)
    assert [sum(part) for part in parts] == pytest.approx(losses, rel=1e-4)


@pytest.mark.parametrize(("name", "leg"), [(name, leg) for name in CHAINS for leg in range(3)])
def test_goes_on_from_any_checkpoint(trained: Trained, name: str, leg: int) -> None:
    _, settings = CHAINS[name][leg]
    output, _ = reference(trained, settings)
    found = differences(opened(output), opened(trained.folder / f"{name}-{leg}"))
    print(f"{name}, leg {leg + 1}: largest difference {max(found.values()):.1e}")
    assert {tensor: value for tensor, value in found.items() if value > TOLERANCE} == {}


def test_a_loop_stopped_twice_in_an_epoch_sees_every_row_once(trained: Trained) -> None:
    """Each rank knows where its own lanes stand, and of the other's only where they stood when it was resumed."""
    straight, stopped = (trained.folder / f"loop-{stops}" for stops in STOPS)
    steps = [sorted(path.name for path in folder.iterdir()) for folder in (straight, stopped)]
    assert steps[0] == steps[1]
    for step in steps[0]:
        left, right = CheckpointReader(straight / step), CheckpointReader(stopped / step)
        assert left.manifest.training["positions"] == right.manifest.training["positions"]
        assert max(differences(left, right).values()) == 0
    assert trained.losses[f"loop-{STOPS[0]}"] == trained.losses[f"loop-{STOPS[1]}"]
    first, second = trained.losses[f"loop-{STOPS[0]}"]
    assert first == second


def test_the_loop_does_what_the_reference_does(trained: Trained) -> None:
    state = run_course(Settings(), trained.data, trained.folder / "loop-reference")
    for name in ("step-00000001", f"step-{state.step:08d}"):
        left = CheckpointReader(trained.folder / "loop-reference" / name)
        right = CheckpointReader(trained.folder / f"loop-{STOPS[0]}" / name)
        assert left.manifest.training["positions"] == right.manifest.training["positions"]
        assert max(differences(left, right).values()) < TOLERANCE
    (metrics, _) = trained.losses[f"loop-{STOPS[0]}"]
    assert metrics == pytest.approx(list(state.metrics.values()), abs=1e-3)


def test_the_trainings_would_differ(trained: Trained) -> None:
    """What parity is worth: other settings, or a step less, move the weights far more than the tolerance."""
    output, _ = reference(trained, Settings())
    for other in (Settings(steps=19), Settings(lanes=2), replace(Settings(), table=ROWWISE)):
        found = differences_of_weights(output, reference(trained, other)[0])
        assert found > 100 * TOLERANCE


def differences_of_weights(left: Path, right: Path) -> float:
    return float((opened(left).table("items", "weight") - opened(right).table("items", "weight")).abs().max())
