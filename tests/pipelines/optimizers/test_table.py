import itertools
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from saccade.pipelines.optimizers.table import STATES, Name, TableOptimizer, sum_by_row

ROWS, DIM = 6, 3
CPU = torch.device("cpu")


def steps(seed: int) -> list[tuple[Tensor, Tensor]]:
    """(looked-up ids with repeats, their gradients) of several steps, one of them without any."""
    rng = torch.Generator().manual_seed(seed)
    counts = [5, 0, 9, 1]
    return [
        (torch.randint(0, ROWS, (n,), generator=rng), torch.randn(n, DIM, generator=rng, dtype=torch.float64))
        for n in counts
    ]


def fresh(optimizer: TableOptimizer, rows: int = ROWS, dim: int = DIM) -> dict[str, Tensor]:
    return {name: tensor.double() for name, tensor in optimizer.state(rows, dim, CPU).items()}


def start(seed: int) -> Tensor:
    return torch.randn(ROWS, DIM, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def trained(optimizer: TableOptimizer, seed: int) -> tuple[Tensor, dict[str, Tensor]]:
    weight, state = start(seed), fresh(optimizer)
    for number, (ids, gradients) in enumerate(steps(seed)):
        optimizer.update(weight, state, *sum_by_row(ids, gradients), factor=1 / (number + 1), step=number + 1)
    return weight, state


def dense(seed: int, kind: Callable[..., torch.optim.Optimizer], **settings: object) -> Tensor:
    """The same steps by one of torch's optimizers on a gradient of the whole table."""
    weight = nn.Parameter(start(seed))
    optimizer = kind([weight], lr=0.1, **settings)
    for number, (ids, gradients) in enumerate(steps(seed)):
        optimizer.param_groups[0]["lr"] = 0.1 / (number + 1)
        gradient = torch.zeros_like(weight).index_add_(0, ids, gradients)
        if kind is torch.optim.SparseAdam:
            rows = ids.unique()
            gradient = torch.sparse_coo_tensor(rows[None], gradient[rows], gradient.shape, check_invariants=True)
        weight.grad = gradient
        optimizer.step()
    return weight.detach()


@given(st.integers(0, 1000))
def test_sgd_and_adagrad_are_torchs_on_dense_gradients(seed: int) -> None:
    weight, state = trained(TableOptimizer("sgd", 0.1), seed)
    torch.testing.assert_close(weight, dense(seed, torch.optim.SGD))
    assert state == {}
    weight, _ = trained(TableOptimizer("adagrad", 0.1, eps=1e-4), seed)
    torch.testing.assert_close(weight, dense(seed, torch.optim.Adagrad, eps=1e-4))


@given(st.integers(0, 1000))
def test_adam_is_torchs_sparse_adam(seed: int) -> None:
    weight, _ = trained(TableOptimizer("adam", 0.1, eps=1e-12, betas=(0.8, 0.9)), seed)
    # SparseAdam adds eps before it corrects the bias: with an eps this small that can't be seen.
    expected = dense(seed, torch.optim.SparseAdam, eps=1e-12, betas=(0.8, 0.9))
    torch.testing.assert_close(weight, expected, rtol=1e-6, atol=1e-8)


@given(st.integers(0, 1000), st.sampled_from([0.0, 0.3]))
def test_adam_on_all_rows_is_torchs_adamw(seed: int, weight_decay: float) -> None:
    rng = torch.Generator().manual_seed(seed)
    settings = TableOptimizer("adam", 0.1, eps=1e-3, betas=(0.8, 0.9), weight_decay=weight_decay)
    weight, state, parameter = start(seed), fresh(settings), nn.Parameter(start(seed))
    adamw = torch.optim.AdamW([parameter], lr=0.1, betas=(0.8, 0.9), eps=1e-3, weight_decay=weight_decay)
    for step in range(1, 4):
        gradients = torch.randn(ROWS, DIM, generator=rng, dtype=torch.float64)
        settings.update(weight, state, torch.arange(ROWS), gradients, factor=1.0, step=step)
        parameter.grad = gradients
        adamw.step()
    torch.testing.assert_close(weight, parameter.detach())
    torch.testing.assert_close(state["exp_avg"], adamw.state[parameter]["exp_avg"])
    torch.testing.assert_close(state["exp_avg_sq"], adamw.state[parameter]["exp_avg_sq"])


def test_rowwise_adagrad_keeps_one_mean_square_a_row() -> None:
    weight, state = trained(TableOptimizer("rowwise_adagrad", 0.1, eps=0.01), 0)
    expected, total = start(0), torch.zeros(ROWS).double()
    for number, (ids, gradients) in enumerate(steps(0)):
        g = torch.zeros(ROWS, DIM).double().index_add_(0, ids, gradients)
        total += (g * g).mean(1)
        expected -= 0.1 / (number + 1) * g / (total.sqrt() + 0.01)[:, None]
    torch.testing.assert_close(weight, expected)
    torch.testing.assert_close(state["sum"], total)


def test_partial_rowwise_adam_keeps_one_square_a_row() -> None:
    settings = TableOptimizer("partial_rowwise_adam", 0.1, eps=0.01, betas=(0.8, 0.9), weight_decay=0.2)
    weight, state = trained(settings, 0)
    expected = start(0)
    mean, square = torch.zeros(ROWS, DIM).double(), torch.zeros(ROWS).double()
    for number, (ids, gradients) in enumerate(steps(0)):
        rate, step = 0.1 / (number + 1), number + 1
        g = torch.zeros(ROWS, DIM).double().index_add_(0, ids, gradients)
        for row in ids.unique().tolist():
            expected[row] -= rate * 0.2 * expected[row]
            mean[row] = 0.8 * mean[row] + 0.2 * g[row]
            square[row] = 0.9 * square[row] + 0.1 * (g[row] ** 2).mean()
            denominator = (square[row] / (1 - 0.9**step)).sqrt() + 0.01
            expected[row] -= rate * mean[row] / (1 - 0.8**step) / denominator
    torch.testing.assert_close(weight, expected)
    torch.testing.assert_close(state["exp_avg_sq"], square)


@pytest.mark.parametrize(("name", "weight_decay"), list(itertools.product(STATES, [0.0, 0.1])))
def test_rows_that_were_not_looked_up_stay(name: str, weight_decay: float) -> None:
    optimizer = TableOptimizer(name, 0.5, weight_decay=weight_decay)  # type: ignore[arg-type]
    weight, state = torch.randn(ROWS, DIM), optimizer.state(ROWS, DIM, CPU)
    before = weight.clone()
    optimizer.update(weight, state, *sum_by_row(torch.tensor([1, 4, 1]), torch.ones(3, DIM)), factor=1.0, step=1)
    moved = (weight != before).any(1).nonzero().squeeze(1).tolist()
    assert moved == [1, 4]
    assert all(tensor[[0, 2, 3, 5]].eq(0).all() for tensor in state.values())


@pytest.mark.parametrize("name", STATES)
def test_weight_decay_pulls_the_rows_looked_up(name: str) -> None:
    plain = TableOptimizer(name, 0.5)  # type: ignore[arg-type]
    pulled = TableOptimizer(name, 0.5, weight_decay=0.1)  # type: ignore[arg-type]
    ids, gradients, before = torch.tensor([1, 4, 1]), torch.randn(3, DIM), torch.randn(ROWS, DIM)
    left, right = before.clone(), before.clone()
    plain.update(left, plain.state(ROWS, DIM, CPU), *sum_by_row(ids, gradients), factor=0.5, step=1)
    pulled.update(right, pulled.state(ROWS, DIM, CPU), *sum_by_row(ids, gradients), factor=0.5, step=1)
    torch.testing.assert_close(left[[1, 4]] - right[[1, 4]], 0.5 * 0.5 * 0.1 * before[[1, 4]])


@pytest.mark.parametrize("name", STATES)
def test_columns_of_a_row_may_be_apart(name: str) -> None:
    """Two halves of the columns, each with its own state, and the mean over both make the step of the whole."""
    settings = TableOptimizer(name, 0.1, weight_decay=0.1)  # type: ignore[arg-type]
    whole, state = torch.randn(ROWS, 4).double(), fresh(settings, dim=4)
    halves = [(whole[:, cut].clone(), fresh(settings, dim=2)) for cut in (slice(0, 2), slice(2, 4))]
    for step in range(1, 4):
        ids, gradients = torch.randint(0, ROWS, (9,)), torch.randn(9, 4).double()
        rows, g = sum_by_row(ids, gradients)
        mean = (g * g).mean(1)
        settings.update(whole, state, rows, g, factor=1.0, step=step)
        for (weight, part), cut in zip(halves, (slice(0, 2), slice(2, 4)), strict=True):
            settings.update(
                weight, part, rows, g[:, cut], factor=1.0, step=step, row_mean=lambda squares, mean=mean: mean
            )
    torch.testing.assert_close(torch.cat([weight for weight, _ in halves], 1), whole)


@pytest.mark.parametrize("name", STATES)
def test_rows_are_stepped_in_blocks_as_at_once(name: Name, monkeypatch: pytest.MonkeyPatch) -> None:
    optimizer = TableOptimizer(name, 0.1, weight_decay=0.1)
    weight, state = trained(optimizer, 3)
    monkeypatch.setattr("saccade.pipelines.optimizers.table.BLOCK", 2)
    in_blocks, block_state = trained(optimizer, 3)
    assert torch.equal(weight, in_blocks)
    assert all(torch.equal(state[key], block_state[key]) for key in state)
