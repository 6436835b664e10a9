"""The loss against a whole table, in one process: the dense formula's, and plain torch's with one weight tensor."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.plugins.hybrid.training import DIM, ITEMS, Settings, make_engine, make_reader, make_task, write_histories
from torch import Tensor
from torch.nn.functional import cross_entropy

from saccade.models.losses.full_softmax import FullSoftmax
from saccade.models.scheduled import scheduled, set_step
from saccade.pipelines.batch import Batch
from saccade.pipelines.collective import Collective
from saccade.pipelines.engines.reference import ReferenceEngine
from saccade.pipelines.engines.scoring import TableLoss
from saccade.pipelines.engines.tables import initial_rows
from saccade.pipelines.optimizers import NetworkOptimizer, TableOptimizer
from saccade.pipelines.scored_table import ScoredTable
from saccade.pipelines.seeds import derive_seed
from saccade.pipelines.shard import TableShard

CPU, ALONE = torch.device("cpu"), Collective()


def shards(table: Tensor, cuts: Sequence[int]) -> list[TableShard]:
    """The table cut before these rows, none of the parts empty."""
    edges = sorted({0, *cuts, len(table)})
    return [TableShard("t", (a, b), (0, table.shape[1]), table[a:b].clone(), {}) for a, b in pairwise(edges)]


def columns(table: Tensor, cut: int) -> list[TableShard]:
    parts = ((0, cut), (cut, table.shape[1]))
    return [TableShard("t", (0, len(table)), p, table[:, slice(*p)].clone(), {}) for p in parts]


def scores_of(
    loss: FullSoftmax, table: Tensor, parts: Sequence[TableShard], block: int = 50, **given: Any
) -> TableLoss:
    return TableLoss(ScoredTable("t", loss, **given), *table.shape, parts, ALONE, CPU, block=block)


def gradient(scores: TableLoss, table: Tensor) -> Tensor:
    """The parts' gradients as one of the table."""
    whole = torch.zeros_like(table)
    for part in scores.gradients:
        whole[slice(*part.shard.rows), slice(*part.shard.columns)] = part.values
    return whole


@given(
    seed=st.integers(0, 10_000),
    queries=st.integers(0, 9),
    rows=st.integers(2, 60),
    padding=st.integers(0, 1),
    cuts=st.lists(st.integers(0, 60), max_size=3),
    block=st.integers(1, 300),
    smoothing=st.sampled_from([0.0, 0.1]),
    temperature=st.floats(0.1, 3),
)
def test_equals_the_dense_formula(
    seed: int,
    queries: int,
    rows: int,
    padding: int,
    cuts: list[int],
    block: int,
    smoothing: float,
    temperature: float,
) -> None:
    rng = torch.Generator().manual_seed(seed)
    table = torch.randn(rows, 4, generator=rng, dtype=torch.float64)
    asked = torch.randn(queries, 4, generator=rng, dtype=torch.float64).requires_grad_()
    targets = torch.randint(padding, rows, (queries,), generator=rng)

    dense_table = table.clone().requires_grad_()
    logits = asked @ dense_table[padding:].T / temperature
    dense = cross_entropy(logits, targets - padding, reduction="sum", label_smoothing=smoothing)
    (3 * dense).backward()
    assert asked.grad is not None
    assert dense_table.grad is not None
    expected, asked.grad = asked.grad, None

    loss = FullSoftmax(smoothing, temperature)
    for parts in (shards(table, [cut for cut in cuts if cut < rows]), columns(table, 1)):
        scores = scores_of(loss, table, parts, block, padding_rows=padding)
        found = scores(asked, targets)
        (3 * found).backward()
        torch.testing.assert_close(found, dense)
        torch.testing.assert_close(asked.grad, expected)
        torch.testing.assert_close(gradient(scores, table), dense_table.grad)
        asked.grad = None


def test_gradients_of_several_micro_batches_add_up() -> None:
    table = torch.randn(20, 4)
    once, twice = (scores_of(FullSoftmax(), table, shards(table, [7])) for _ in range(2))
    asked, targets = torch.randn(6, 4, requires_grad=True), torch.randint(1, 20, (6,))
    once(asked, targets).backward()  # type: ignore[no-untyped-call]
    for part in (slice(0, 2), slice(2, 2), slice(2, 6)):
        twice(asked[part], targets[part]).backward()  # type: ignore[no-untyped-call]
    torch.testing.assert_close(gradient(once, table), gradient(twice, table))


def test_large_scores_do_not_overflow() -> None:
    table = torch.tensor([[0.0], [1.0], [-1.0], [0.5]])
    scores = scores_of(FullSoftmax(), table, shards(table, [2]), block=1)
    found = scores(torch.tensor([[1e4]]), torch.tensor([2]))
    assert found.item() == pytest.approx(2e4)


def test_half_precision_is_scored_in_float32() -> None:
    table, asked, targets = torch.randn(20, 4), torch.randn(6, 4).half(), torch.randint(1, 20, (6,))
    found = scores_of(FullSoftmax(), table, shards(table, []))(asked, targets)
    expected = cross_entropy(asked.float() @ table[1:].T, targets - 1, reduction="sum")
    torch.testing.assert_close(found, expected)


class _Largest(torch.utils._python_dispatch.TorchDispatchMode):
    """Notes the elements of the largest tensor that any operation returns."""

    def __init__(self) -> None:
        super().__init__()
        self.elements = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        for tensor in found if isinstance(found, tuple | list) else (found,):
            if isinstance(tensor, Tensor):
                self.elements = max(self.elements, tensor.numel())
        return found


def test_no_tensor_of_all_scores_is_made() -> None:
    """Not in forward, not in backward: nothing is larger than a block or the table, a 20th of the scores."""
    table, asked = torch.randn(20_000, 10), torch.randn(200, 10, requires_grad=True)
    scores = TableLoss(ScoredTable("t", FullSoftmax(0.1)), 20_000, 10, shards(table, []), ALONE, CPU)
    with _Largest() as largest:
        scores(asked, torch.randint(1, 20_000, (200,))).backward()  # type: ignore[no-untyped-call]
    assert largest.elements <= max(scores.block, table.numel())
    assert scores.block < 200 * 20_000 / 5


class PlainTorch:
    """The same training with one weight tensor, dense gradients and torch's own optimizer and loss."""

    def __init__(self, settings: Settings, optimizer: type[torch.optim.Optimizer], **options: float) -> None:
        assert settings.full_softmax is not None
        self.task, self.loss = make_task(settings), settings.full_softmax
        self.weight = initial_rows(self.task.tables[0], 7, 0, ITEMS).requires_grad_()
        torch.manual_seed(derive_seed(7, "network"))
        self.network = self.task.network()
        self.network_optimizer = settings.network.build(self.network.parameters())
        self.optimizer = optimizer([self.weight], **options)  # type: ignore[call-arg]
        self.steps = 0

    def step(self, batches: Sequence[Batch], targets: int) -> float:
        set_step(scheduled(self.network), self.steps)
        total = 0.0
        for batch in batches:
            torch.manual_seed(batch.seed)
            embeddings = {feature: self.weight[ids] for feature, ids in batch.lookups.items()}
            queries, ids = self.task.queries(self.task.forward(self.network, embeddings, batch), batch)
            loss = cross_entropy(
                queries @ self.weight[1:].T / self.loss.temperature,
                ids - 1,
                reduction="sum",
                label_smoothing=self.loss.label_smoothing,
            )
            (loss / targets).backward()
            total += float(loss.detach()) / targets
        for optimizer in (self.network_optimizer, self.optimizer):
            optimizer.step()
            optimizer.zero_grad()
        self.steps += 1
        return total


@pytest.mark.parametrize(
    ("table", "plain", "options"),
    [
        (TableOptimizer("sgd", 0.5), torch.optim.SGD, {"lr": 0.5}),
        (TableOptimizer("adagrad", 0.05), torch.optim.Adagrad, {"lr": 0.05, "eps": 1e-8}),
        (TableOptimizer("adam", 1e-3), torch.optim.Adam, {"lr": 1e-3}),
    ],
    ids=["sgd", "adagrad", "adam"],
)
def test_the_reference_engine_trains_as_plain_torch(
    tmp_path: Path, table: TableOptimizer, plain: type[torch.optim.Optimizer], options: dict[str, float]
) -> None:
    write_histories(tmp_path)
    network = NetworkOptimizer("adamw", 1e-3, weight_decay=0.01)
    settings = Settings(table=table, network=network, full_softmax=FullSoftmax(0.1, 0.7))
    task = make_task(settings)
    engine, other = make_engine(settings, task), PlainTorch(settings, plain, **options)
    assert isinstance(engine, ReferenceEngine)
    steps = iter(make_reader(settings, task, tmp_path).steps(0))
    for _, item in zip(range(20), steps, strict=False):
        targets = sum(batch.targets for batch in item.batches)
        if not targets:
            break
        found = engine.step(item.batches, targets, 1.0)
        assert found.loss == pytest.approx(other.step([b for b in item.batches if b.targets], targets), rel=1e-5)
    assert other.steps >= 10
    assert engine.tables.weights["items"].shape == (ITEMS, DIM)
    torch.testing.assert_close(engine.tables.weights["items"], other.weight.detach(), atol=1e-5, rtol=0)
    for mine, theirs in zip(engine.network.parameters(), other.network.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-5, rtol=0)
