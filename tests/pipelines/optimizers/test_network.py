import pytest
import torch
from torch import Tensor, nn

from saccade.pipelines.optimizers import NetworkOptimizer
from saccade.pipelines.optimizers.adagrad import Adagrad
from saccade.pipelines.optimizers.lamb import Lamb


def trained(kind: type[torch.optim.Optimizer], **settings: object) -> Tensor:
    torch.manual_seed(0)
    weight = nn.Parameter(torch.randn(4, 3, dtype=torch.float64))
    optimizer = kind([{"params": [weight], **settings}], lr=0.3, eps=1e-3)  # type: ignore[call-arg]
    for _ in range(5):
        optimizer.zero_grad()
        weight.pow(4).sum().backward()
        optimizer.step()
    return weight.detach()


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_adagrad_is_torchs(weight_decay: float) -> None:
    ours, torchs = trained(Adagrad, weight_decay=weight_decay), trained(torch.optim.Adagrad, weight_decay=weight_decay)
    torch.testing.assert_close(ours, torchs)


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_lamb_is_the_papers_formula(weight_decay: float) -> None:
    torch.manual_seed(0)
    weight = nn.Parameter(torch.randn(4, 3, dtype=torch.float64))
    w, m, v = weight.detach().clone(), torch.zeros(4, 3).double(), torch.zeros(4, 3).double()
    optimizer = Lamb([{"params": [weight], "weight_decay": weight_decay}], lr=0.1, betas=(0.8, 0.9), eps=1e-6)
    for t in range(1, 6):
        optimizer.zero_grad()
        weight.pow(4).sum().backward()
        optimizer.step()
        g = 4 * w**3
        m, v = 0.8 * m + 0.2 * g, 0.9 * v + 0.1 * g * g
        r = (m / (1 - 0.8**t)) / ((v / (1 - 0.9**t)).sqrt() + 1e-6) + weight_decay * w
        w = w - 0.1 * w.norm() / r.norm() * r
        torch.testing.assert_close(weight.detach(), w)


def test_lamb_moves_weights_that_begin_at_zero() -> None:
    weight = nn.Parameter(torch.zeros(2, 2))
    optimizer = Lamb([{"params": [weight]}], lr=0.1, betas=(0.9, 0.99), eps=1e-6)
    weight.grad = torch.ones(2, 2)
    optimizer.step()
    torch.testing.assert_close(weight.detach(), torch.full((2, 2), -0.1), rtol=1e-4, atol=0)


@pytest.mark.parametrize("name", ["adamw", "adam", "sgd", "adagrad", "lamb"])
def test_weight_decay_leaves_vectors_alone(name: str) -> None:
    network = nn.Linear(3, 2)
    settings = NetworkOptimizer(name, 0.1, weight_decay=0.5)  # type: ignore[arg-type]
    optimizer = settings.build(network.parameters())
    assert [(g["weight_decay"], [p.dim() for p in g["params"]]) for g in optimizer.param_groups] == [
        (0.5, [2]),
        (0.0, [1]),
    ]
    settings.scale_learning_rate(optimizer, 0.25)
    assert [g["lr"] for g in optimizer.param_groups] == [0.025, 0.025]
    weight, bias = network.weight.detach().clone(), network.bias.detach().clone()
    for parameter in network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    assert torch.equal(network.bias, bias)
    assert not torch.equal(network.weight, weight)
