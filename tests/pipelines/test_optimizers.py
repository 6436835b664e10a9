import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from saccade.pipelines.adagrad import Adagrad
from saccade.pipelines.optimizers import NetworkOptimizer, TableOptimizer, scale_learning_rate

ROWS, DIM = 6, 3


def steps(seed: int) -> list[tuple[Tensor, Tensor]]:
    """(looked-up ids with repeats, their gradients) of several steps, one of them without any."""
    rng = torch.Generator().manual_seed(seed)
    counts = [5, 0, 9, 1]
    return [
        (torch.randint(0, ROWS, (n,), generator=rng), torch.randn(n, DIM, generator=rng, dtype=torch.float64))
        for n in counts
    ]


def trained(optimizer: TableOptimizer, seed: int, start: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    weight = start.clone()
    state = {name: tensor.double() for name, tensor in optimizer.state(ROWS, DIM, torch.device("cpu")).items()}
    for number, (ids, gradients) in enumerate(steps(seed)):
        optimizer.update(weight, state, ids, gradients, 1 / (number + 1))
    return weight, state


def dense(seed: int, start: Tensor, kind: type[torch.optim.Optimizer], **settings: float) -> Tensor:
    weight = nn.Parameter(start.clone())
    optimizer = kind([weight], lr=0.1, **settings)  # type: ignore[call-arg]
    for number, (ids, gradients) in enumerate(steps(seed)):
        optimizer.param_groups[0]["lr"] = 0.1 / (number + 1)
        weight.grad = torch.zeros_like(weight).index_add_(0, ids, gradients)
        optimizer.step()
    return weight.detach()


@given(st.integers(0, 1000))
def test_table_optimizers_are_torchs_on_dense_gradients(seed: int) -> None:
    start = torch.randn(ROWS, DIM, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    weight, state = trained(TableOptimizer("sgd", 0.1), seed, start)
    torch.testing.assert_close(weight, dense(seed, start, torch.optim.SGD))
    assert state == {}
    weight, _ = trained(TableOptimizer("adagrad", 0.1, eps=1e-4), seed, start)
    torch.testing.assert_close(weight, dense(seed, start, torch.optim.Adagrad, eps=1e-4))


def test_rowwise_adagrad_keeps_one_mean_square_a_row() -> None:
    weight, state = trained(TableOptimizer("rowwise_adagrad", 0.1, eps=0.01), 0, torch.zeros(ROWS, DIM).double())
    expected, total = torch.zeros(ROWS, DIM).double(), torch.zeros(ROWS).double()
    for number, (ids, gradients) in enumerate(steps(0)):
        g = torch.zeros(ROWS, DIM).double().index_add_(0, ids, gradients)
        total += (g * g).mean(1)
        expected -= 0.1 / (number + 1) * g / (total.sqrt() + 0.01)[:, None]
    torch.testing.assert_close(weight, expected)
    torch.testing.assert_close(state["sum"], total)


@pytest.mark.parametrize("name", ["sgd", "adagrad", "rowwise_adagrad"])
def test_rows_that_were_not_looked_up_stay(name: str) -> None:
    optimizer = TableOptimizer(name, 0.5)  # type: ignore[arg-type]
    weight, state = torch.randn(ROWS, DIM), optimizer.state(ROWS, DIM, torch.device("cpu"))
    before = weight.clone()
    optimizer.update(weight, state, torch.tensor([1, 4, 1]), torch.ones(3, DIM), 1.0)
    moved = (weight != before).any(1).nonzero().squeeze(1).tolist()
    assert moved == [1, 4]
    assert all(tensor[[0, 2, 3, 5]].eq(0).all() for tensor in state.values())


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_adagrad_is_torchs(weight_decay: float) -> None:
    def train(kind: type[torch.optim.Optimizer]) -> Tensor:
        torch.manual_seed(0)
        weight = nn.Parameter(torch.randn(4, 3, dtype=torch.float64))
        optimizer = kind([{"params": [weight], "weight_decay": weight_decay}], lr=0.3, eps=1e-3)  # type: ignore[call-arg]
        for _ in range(5):
            optimizer.zero_grad()
            weight.pow(4).sum().backward()
            optimizer.step()
        return weight.detach()

    torch.testing.assert_close(train(Adagrad), train(torch.optim.Adagrad))


@pytest.mark.parametrize("name", ["adamw", "adam", "sgd", "adagrad"])
def test_weight_decay_leaves_vectors_alone(name: str) -> None:
    network = nn.Linear(3, 2)
    settings = NetworkOptimizer(name, 0.1, weight_decay=0.5)  # type: ignore[arg-type]
    optimizer = settings.build(network.parameters())
    assert [(g["weight_decay"], [p.dim() for p in g["params"]]) for g in optimizer.param_groups] == [
        (0.5, [2]),
        (0.0, [1]),
    ]
    scale_learning_rate(optimizer, settings, 0.25)
    assert [g["lr"] for g in optimizer.param_groups] == [0.025, 0.025]
    weight, bias = network.weight.detach().clone(), network.bias.detach().clone()
    for parameter in network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    assert torch.equal(network.bias, bias)
    assert not torch.equal(network.weight, weight)
