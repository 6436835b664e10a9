"""The softmax over all items on real ranks: any sharding, ZeRO stage and number of workers, the reference's weights."""

import itertools
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
import torch
from tests.plugins.hybrid.training import Settings, call, differences, opened, train, write_histories
from tests.processes import run_ranks
from torch.nn.functional import cross_entropy

from saccade.models.losses.full_softmax import FullSoftmax
from saccade.pipelines.collective import Collective
from saccade.pipelines.engines.engine import StepResult
from saccade.pipelines.engines.scoring import TableLoss
from saccade.pipelines.optimizers import TableOptimizer
from saccade.pipelines.scored_table import ScoredTable
from saccade.pipelines.shard import TableShard

pytestmark = pytest.mark.slow

TOLERANCE = 1e-5

PLAIN, SMOOTHED = FullSoftmax(), FullSoftmax(label_smoothing=0.1, temperature=0.7)
# Adagrad's first step is the gradient over its own size: of an element whose gradient is all but zero, which the other
# rows' probabilities make here, it makes a whole step of rounding noise unless eps is above that.
SGD, ADAGRAD = TableOptimizer("sgd", 0.5), TableOptimizer("adagrad", 0.05, eps=1e-4)
ROWWISE, ADAM = TableOptimizer("rowwise_adagrad", 0.05), TableOptimizer("adam", 1e-3, weight_decay=0.1)
PARTIAL = TableOptimizer("partial_rowwise_adam", 1e-3, weight_decay=0.1)
OPTIMIZERS = {"sgd": SGD, "adagrad": ADAGRAD, "rowwise": ROWWISE, "adam": ADAM}
SHARDINGS = ("row", "table", "column", "replicated")


def covering(workers: int) -> dict[str, Settings]:
    """Every ZeRO stage with every sharding, each with one table optimizer, loss and accumulation."""
    found = {}
    for stage, (place, sharding) in itertools.product(range(4), enumerate(SHARDINGS)):
        if workers == 1 and (stage + place) % 2:  # one rank has nothing to cut
            continue
        name = list(OPTIMIZERS)[(stage + place) % len(OPTIMIZERS)]
        lanes = workers * (1, 3)[(stage // 2 + place) % 2]
        loss = (PLAIN, SMOOTHED)[(stage + place // 2) % 2]
        found[f"zero{stage}-{sharding}-{name}-k{lanes}"] = Settings(
            "hybrid", stage, sharding, lanes=lanes, table=OPTIMIZERS[name], full_softmax=loss
        )
    return found


RUNS = {
    1: covering(1) | {"clipped": Settings("hybrid", 1, "row", clip=0.1, table=ADAGRAD, full_softmax=PLAIN)},
    2: covering(2)
    | {
        "clipped": Settings("hybrid", 1, "row", clip=0.1, table=ADAGRAD, full_softmax=SMOOTHED),
        "clipped-columns-rowwise": Settings("hybrid", 2, "column", table=ROWWISE, clip=0.1, full_softmax=PLAIN),
        "table-row": Settings("hybrid", 2, "table_row", table=PARTIAL, full_softmax=SMOOTHED),
        "columns-partial-adam": Settings("hybrid", 1, "column", table=PARTIAL, full_softmax=SMOOTHED),
        "planner": Settings("hybrid", 1, "auto", table=ADAGRAD, full_softmax=PLAIN),
        "idle-rank": Settings("hybrid", 3, "row", lanes=1, table=ADAGRAD, full_softmax=PLAIN),
        "odd": Settings("hybrid", 2, "row", lanes=3, table=ADAGRAD, full_softmax=PLAIN),
    },
    4: {
        "zero3-row-adam": Settings("hybrid", 3, "row", table=ADAM, full_softmax=PLAIN),
        "zero0-column-rowwise-k8": Settings("hybrid", 0, "column", table=ROWWISE, lanes=8, full_softmax=SMOOTHED),
        "nodes": Settings("hybrid", 1, "table_row", local_size=2, table=SGD, full_softmax=SMOOTHED),
    },
}
FP16 = Settings("hybrid", 2, "row", precision="fp16", loss_scale=2.0**28, full_softmax=PLAIN)
CHAIN = [
    (2, Settings("hybrid", 2, "row", table=ADAGRAD, full_softmax=SMOOTHED, steps=8)),
    (1, Settings("hybrid", 3, "column", table=ADAGRAD, full_softmax=SMOOTHED, first=8, steps=16)),
    (4, Settings("hybrid", 0, "replicated", table=ADAGRAD, full_softmax=SMOOTHED, first=16, steps=24)),
]
"""One training, handed from two workers to one and on to four."""


def of_ranks(cut: str, counts: tuple[int, ...]) -> tuple[float, torch.Tensor, list[tuple[TableShard, torch.Tensor]]]:
    """The loss, the queries' gradient and the rows' of a table that two ranks share; rank r has counts[r] queries."""
    collective = Collective()
    rng = torch.Generator().manual_seed(0)
    table, asked = torch.randn(37, 8, generator=rng), torch.randn(sum(counts), 8, generator=rng)
    targets = torch.randint(1, 37, (sum(counts),), generator=rng)
    begin = sum(counts[: collective.rank])
    own = slice(begin, begin + counts[collective.rank])
    rows, columns = {"row": ((0, 20), (0, 8)), "column": ((0, 37), (0, 4)), "table": ((0, 37), (0, 8))}[cut]
    if collective.rank:
        rows, columns = {"row": ((20, 37), (0, 8)), "column": ((0, 37), (4, 8)), "table": ((0, 0), (0, 0))}[cut]
    held = [TableShard("t", rows, columns, table[slice(*rows), slice(*columns)].clone(), {})] if rows[1] else []
    scores = TableLoss(ScoredTable("t", PLAIN), 37, 8, held, collective, torch.device("cpu"), block=100)
    mine = asked[own].requires_grad_()
    loss = scores(mine, targets[own])
    loss.backward()  # type: ignore[no-untyped-call]
    assert mine.grad is not None
    return loss.item(), mine.grad, [(gradient.shard, gradient.values) for gradient in scores.gradients]


CALLS = [(cut, counts) for cut in ("row", "column", "table") for counts in ((3, 4), (0, 5), (5, 0), (0, 0))]


@dataclass(frozen=True)
class Trained:
    folder: Path
    data: Path
    results: dict[str, list[list[StepResult]]]
    direct: list[list[tuple[float, torch.Tensor, list[tuple[TableShard, torch.Tensor]]]]]

    def reference(self, settings: Settings) -> tuple[Path, list[StepResult]]:
        output = self.folder / f"reference-{abs(hash(settings.recipe))}"
        return output, train(settings.recipe, self.data, output)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("full-softmax")
    data = folder / "data"
    data.mkdir()
    write_histories(data)
    results: dict[str, list[list[StepResult]]] = {}
    legs = list(enumerate(CHAIN))
    direct = [partial(of_ranks, *arguments) for arguments in CALLS]
    for workers in (2, 1, 4):
        calls = {f"{workers}-{name}": call(s, data, folder / f"{workers}-{name}") for name, s in RUNS[workers].items()}
        number, (expected, settings) = legs.pop(0)
        assert expected == workers
        calls[f"leg-{number}"] = call(
            settings, data, folder / f"leg-{number}", folder / f"leg-{number - 1}" if number else None
        )
        if workers == 2:
            calls["fp16"] = call(FP16, data, folder / "fp16")
        extra = direct if workers == 2 else []
        found = run_ranks(workers, [*calls.values(), *extra], folder / f"ranks-{workers}")
        results.update(zip(calls, found, strict=False))
        if extra:
            outcomes = found[len(calls) :]
    return Trained(folder, data, results, outcomes)


CASES = [(workers, name) for workers, runs in RUNS.items() for name in runs]


@pytest.mark.parametrize(("workers", "name"), CASES, ids=[f"{workers}-{name}" for workers, name in CASES])
def test_equals_the_reference(trained: Trained, workers: int, name: str) -> None:
    settings = RUNS[workers][name]
    output, results = trained.reference(settings)
    found = differences(opened(output), opened(trained.folder / f"{workers}-{name}"))
    print(f"{workers} workers, {name}: largest difference {max(found.values()):.1e}")  # shown by pytest -rP
    assert len(results) == settings.steps
    assert {tensor: value for tensor, value in found.items() if value > TOLERANCE} == {}
    for rank in trained.results[f"{workers}-{name}"]:
        assert [step.loss for step in rank] == pytest.approx([step.loss for step in results], rel=1e-4)
        assert [step.gradient_norm for step in rank] == pytest.approx([s.gradient_norm for s in results], rel=1e-4)


@pytest.mark.parametrize("leg", range(3))
def test_goes_on_with_other_workers(trained: Trained, leg: int) -> None:
    output, _ = trained.reference(CHAIN[leg][1])
    found = differences(opened(output), opened(trained.folder / f"leg-{leg}"))
    print(f"leg {leg + 1}: largest difference {max(found.values()):.1e}")
    assert {tensor: value for tensor, value in found.items() if value > TOLERANCE} == {}


def test_an_overflow_changes_nothing_and_leaves_no_gradient(trained: Trained) -> None:
    """Steps before the loss scale is low enough are skipped on both ranks; those after it aren't polluted by them."""
    ranks = trained.results["fp16"]
    outcomes = [[step.outcome for step in rank] for rank in ranks]
    _, reference = trained.reference(FP16)
    assert outcomes[0] == outcomes[1] == [step.outcome for step in reference]
    assert 3 < outcomes[0].count("overflow") < 20
    for rank in ranks:
        assert [step.loss for step in rank] == pytest.approx([step.loss for step in reference], rel=1e-2)


def test_the_padding_row_and_the_optimizer_state_stay(trained: Trained) -> None:
    """Row 0 is no item: with a decaying table it would shrink if it were stepped. All others move at each step."""
    settings = Settings(table=ADAM, full_softmax=PLAIN, steps=2)
    start, _ = trained.reference(Settings(table=ADAM, full_softmax=PLAIN, steps=0))
    end, _ = trained.reference(settings)
    before, after = opened(start).table("items", "weight"), opened(end).table("items", "weight")
    assert torch.equal(before[0], after[0])
    assert (before[1:] != after[1:]).any(1).all()


@pytest.mark.parametrize("number", range(len(CALLS)), ids=[f"{cut}-{a}-{b}" for cut, (a, b) in CALLS])
def test_two_ranks_share_the_scores(trained: Trained, number: int) -> None:
    _, counts = CALLS[number]
    ranks = trained.direct[number]
    rng = torch.Generator().manual_seed(0)
    table = torch.randn(37, 8, generator=rng).requires_grad_()
    asked = torch.randn(sum(counts), 8, generator=rng).requires_grad_()
    targets = torch.randint(1, 37, (sum(counts),), generator=rng)
    dense = cross_entropy(asked @ table[1:].T, targets - 1, reduction="sum")
    dense.backward()  # type: ignore[no-untyped-call]
    assert table.grad is not None
    assert sum(loss for loss, _, _ in ranks) == pytest.approx(dense.item(), rel=1e-5)
    torch.testing.assert_close(torch.cat([gradient for _, gradient, _ in ranks]), asked.grad)
    for _, _, held in ranks:
        for shard, values in held:
            torch.testing.assert_close(values, table.grad[slice(*shard.rows), slice(*shard.columns)])


def test_the_trainings_would_differ(trained: Trained) -> None:
    """What parity is worth: another loss moves the weights far more than the tolerance."""
    output, _ = trained.reference(Settings(full_softmax=PLAIN))
    for other in (SMOOTHED, FullSoftmax(label_smoothing=0.01), None):
        found = differences(opened(output), opened(trained.reference(Settings(full_softmax=other))[0]))
        assert found["items/weight"] > 50 * TOLERANCE
