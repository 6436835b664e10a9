"""The hybrid engine against the reference engine: any number of workers, ZeRO stage and sharding, the same weights.

All trainings share one start of two ranks, one of a single one and one of four. `make parity` runs the whole matrix.
"""

import itertools
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.plugins.hybrid.parity import ACCUMULATIONS, OPTIMIZERS, SHARDINGS, ZERO_STAGES, settings_of
from tests.plugins.hybrid.training import Settings, call, differences, opened, run_course, train, write_histories
from tests.processes import run_ranks

from saccade.models.attention.choice import PLAIN as PLAIN_ATTENTION
from saccade.models.attention.choice import AttentionChoice
from saccade.models.registry import Choice
from saccade.pipelines.checkpoint.reader import CheckpointReader
from saccade.pipelines.engines.engine import StepResult
from saccade.pipelines.optimizers import NetworkOptimizer, TableOptimizer

pytestmark = pytest.mark.slow

TOLERANCE = 1e-5

SGD, ADAGRAD = TableOptimizer("sgd", 0.5), TableOptimizer("adagrad", 0.05)
ROWWISE, SPARSE_ADAM = TableOptimizer("rowwise_adagrad", 0.05), TableOptimizer("adam", 1e-3, weight_decay=0.1)
PARTIAL = TableOptimizer("partial_rowwise_adam", 1e-3, weight_decay=0.1)
ADAM, PLAIN = NetworkOptimizer("adam", 1e-3), NetworkOptimizer("sgd", 0.05, weight_decay=0.01)
ADAGRAD_NETWORK = NetworkOptimizer("adagrad", 0.01, weight_decay=0.01)
LAMB = NetworkOptimizer("lamb", 0.01, weight_decay=0.01)


def covering(workers: int) -> dict[str, Settings]:
    """Every ZeRO stage with every sharding, each with one optimizer and accumulation (`make parity` has them all)."""
    found = {}
    for stage, (place, sharding) in itertools.product(ZERO_STAGES, enumerate(SHARDINGS)):
        if workers != 2 and (stage + place) % 2:  # starting many ranks takes long, and one rank has nothing to cut
            continue
        optimizer = list(OPTIMIZERS)[(stage + place + workers) % len(OPTIMIZERS)]
        accumulation = ACCUMULATIONS[(stage // 2 + place) % 2]
        name = f"zero{stage}-{sharding}-{optimizer}-x{accumulation}"
        found[name] = settings_of((workers, stage, sharding, accumulation, optimizer))
    return found


# Parts with parameters of their own, computed group by group; ranks have other numbers of groups, and empty batches.
RICH = AttentionChoice(
    score=Choice.of("additive", hidden=5),
    normalizer=Choice.of("entmax15"),
    masks=(Choice.of("window", before=6),),
    positions=(Choice.of("learned"), Choice.of("rotary"), Choice.of("relative", buckets=8, max_distance=12)),
    key_heads=1,
)
COOLING = Choice.of("gumbel_softmax", temperature=2.0, final_temperature=0.5, steps=20)
LEARNED_PRODUCT = AttentionChoice(score=Choice.of("general"), positions=(Choice.of("sinusoidal"), Choice.of("alibi")))

RUNS = {
    2: covering(2)
    | {f"rich-attention-zero{stage}": Settings("hybrid", stage, "row", attention=RICH) for stage in ZERO_STAGES}
    | {
        "rich-attention-an-idle-rank": Settings("hybrid", 3, "row", attention=RICH, lanes=1),
        "general-alibi-zero3": Settings("hybrid", 3, "row", attention=LEARNED_PRODUCT, lanes=3),
        "gumbel-softmax-cooling": Settings("hybrid", 1, "row", attention=AttentionChoice(normalizer=COOLING)),
        "hstu-zero3": Settings("hybrid", 3, "row", attention=PLAIN_ATTENTION, block="hstu", lanes=3),
    }
    | {
        "network-adagrad": Settings("hybrid", 1, "row", network=ADAGRAD_NETWORK),
        "network-lamb": Settings("hybrid", 0, "row", network=LAMB),
        "planner-rowwise": Settings("hybrid", 2, "auto", table=ROWWISE),
        "planner-adagrad": Settings("hybrid", 3, "auto", network=PLAIN),
        "table-row-partial-adam": Settings("hybrid", 2, "table_row", table=PARTIAL),
        "columns-partial-adam": Settings("hybrid", 1, "column", table=PARTIAL),
        "replicated-adam": Settings("hybrid", 0, "replicated", table=SPARSE_ADAM),
        "own-negatives": Settings("hybrid", 2, "row", shared_negatives=False),
        "two-tables": Settings("hybrid", 2, "row", other_table=TableOptimizer("adagrad", 0.3)),
        "two-optimizers-and-cuts": Settings(
            "hybrid", 3, "table", shardings=(("others", "replicated"),), table=ROWWISE, other_table=SGD, lanes=2
        ),
        "planned-and-given-cuts": Settings(
            "hybrid", 0, "auto", shardings=(("others", "column"),), table=SGD, other_table=ROWWISE
        ),
        "clipped": Settings("hybrid", 2, "row", clip=0.1, table=SPARSE_ADAM),
        "clipped-zero3": Settings("hybrid", 3, "column", clip=0.1, table=ROWWISE),
        "clipped-zero0": Settings("hybrid", 0, "replicated", clip=0.1, table=SGD, network=PLAIN),
        "offloaded-zero2": Settings("hybrid", 2, "row", offload=True, clip=0.1),
        "offloaded-zero3": Settings("hybrid", 3, "table", offload=True, clip=0.1),
        "uneven-lanes": Settings("hybrid", 2, "row", lanes=3, table=SPARSE_ADAM),
        "an-idle-rank": Settings("hybrid", 3, "column", lanes=1, table=SPARSE_ADAM),
        "50-steps": Settings("hybrid", 2, "row", table=SPARSE_ADAM, steps=50),
    },
    1: covering(1)
    | {
        "planner-rowwise": Settings("hybrid", 0, "auto", table=ROWWISE),
        "two-optimizers": Settings("hybrid", 3, "row", table=ADAGRAD, other_table=ROWWISE),
        "50-steps": Settings("hybrid", 2, "row", table=SPARSE_ADAM, steps=50),
    },
    4: covering(4)
    | {
        "table-row-on-two-nodes": Settings(
            "hybrid", 2, "table_row", local_size=2, table=ROWWISE, other_table=SPARSE_ADAM
        ),
        "uneven-lanes": Settings("hybrid", 3, "row", lanes=6, table=PARTIAL),
        "50-steps": Settings("hybrid", 2, "row", table=SPARSE_ADAM, steps=50),
    },
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
    """Where the trainings left their checkpoints, and what each call returned on every rank."""

    folder: Path
    data: Path
    results: dict[str, list[list[Any]]]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("parity")
    data = folder / "data"
    data.mkdir()
    write_histories(data)
    results: dict[str, list[list[Any]]] = {}
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
            results.update(
                zip(calls, run_ranks(workers, list(calls.values()), folder / f"ranks-{workers}"), strict=True)
            )
        else:
            for one in calls.values():
                one()

    run(0, {})
    run(2, RUNS[2])
    run(0, {})
    run(1, RUNS[1])
    run(4, RUNS[4])
    assert not any(remaining.values())
    return Trained(folder, data, results)


def reference(trained: Trained, settings: Settings) -> tuple[Path, list[StepResult]]:
    output = trained.folder / f"reference-{abs(hash(settings.recipe))}"
    return output, train(settings.recipe, trained.data, output)


CASES = [(workers, name) for workers, runs in RUNS.items() for name in runs]


@pytest.mark.parametrize(("workers", "name"), CASES, ids=[f"{workers}-{name}" for workers, name in CASES])
def test_equals_the_reference(trained: Trained, workers: int, name: str) -> None:
    settings = RUNS[workers][name]
    output, results = reference(trained, settings)
    found = differences(opened(output), opened(trained.folder / f"{workers}-{name}"))
    print(f"{workers} workers, {name}: largest difference {max(found.values()):.1e}")  # shown by pytest -rP
    assert len(results) == settings.steps
    assert {tensor: value for tensor, value in found.items() if value > TOLERANCE} == {}
    for rank in trained.results[f"{workers}-{name}"]:
        assert [step.loss for step in rank] == pytest.approx([step.loss for step in results], rel=1e-4)
        assert [step.gradient_norm for step in rank] == pytest.approx([s.gradient_norm for s in results], rel=1e-4)
    ranks = trained.results[f"{workers}-{name}"]
    for step, (reference_step, *parts) in enumerate(zip(results, *ranks, strict=True)):
        assert sum(sum(part.losses) for part in parts) == pytest.approx(reference_step.loss, rel=1e-4), step


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
    assert trained.results[f"loop-{STOPS[0]}"] == trained.results[f"loop-{STOPS[1]}"]
    first, second = trained.results[f"loop-{STOPS[0]}"]
    assert first == second


def test_the_loop_does_what_the_reference_does(trained: Trained) -> None:
    state = run_course(Settings(), trained.data, trained.folder / "loop-reference")
    for name in ("step-00000001", f"step-{state.step:08d}"):
        left = CheckpointReader(trained.folder / "loop-reference" / name)
        right = CheckpointReader(trained.folder / f"loop-{STOPS[0]}" / name)
        assert left.manifest.training["positions"] == right.manifest.training["positions"]
        assert max(differences(left, right).values()) < TOLERANCE
    (metrics, _) = trained.results[f"loop-{STOPS[0]}"]
    assert metrics == pytest.approx(list(state.metrics.values()), abs=1e-3)


def test_the_trainings_would_differ(trained: Trained) -> None:
    """What parity is worth: other settings, or a step less, move the weights far more than the tolerance."""
    output, _ = reference(trained, Settings())
    for other in (Settings(steps=19), Settings(lanes=2), Settings(table=ROWWISE), Settings(clip=0.1)):
        found = differences_of_weights(output, reference(trained, other)[0])
        assert found > 100 * TOLERANCE


def differences_of_weights(left: Path, right: Path) -> float:
    return float((opened(left).table("items", "weight") - opened(right).table("items", "weight")).abs().max())
