"""What every network for next_item promises: no look at the future or at batch-mates, any lengths, whole gradients."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.models.recommendation.networks import DIM, LONGEST, NETWORKS, Case
from torch import Tensor, nn

from saccade.models.jagged import Jagged, Layout

CAUSAL = [name for name, case in NETWORKS.items() if case.causal]
HIDING = [name for name, case in NETWORKS.items() if not case.causal]
lengths_of_a_batch = st.lists(st.integers(0, LONGEST), min_size=1, max_size=6)


def made(name: str) -> nn.Module:
    torch.manual_seed(0)
    network = NETWORKS[name].build(dropout=0.3).double().eval()
    for parameter in network.parameters():  # biases that begin at zero would hide what they do
        torch.nn.init.normal_(parameter, parameter.detach().mean().item(), 0.1)
    return network


def batch(lengths: list[int], seed: int = 0) -> Jagged:
    rng = torch.Generator().manual_seed(seed)
    layout = Layout(torch.tensor(lengths, dtype=torch.int64))
    time = torch.randint(0, 20, (layout.total,), generator=rng).cumsum(0)
    layout = Layout(layout.lengths, time=time)
    return Jagged(torch.randn(layout.total, DIM, generator=rng, dtype=torch.float64), layout)


def more(case: Case, items: Jagged, seed: int = 0) -> list[Any]:
    """What the network takes besides items: features of each item, and which are hidden."""
    rng = torch.Generator().manual_seed(seed + 1)
    features = {
        name: torch.randn(items.layout.total, *([] if width is None else [width]), generator=rng, dtype=torch.float64)
        for name, width in case.features
    }
    hidden = torch.rand(items.layout.total, generator=rng) < 0.4
    return ([features] if features else []) + ([] if case.causal else [hidden])


def run(name: str, network: nn.Module, items: Jagged) -> Tensor:
    output: Tensor = network(items, *more(NETWORKS[name], items))
    return output


def alone(name: str, network: nn.Module, items: Jagged) -> Iterator[Tensor]:
    """The outputs of each example in a batch of its own."""
    given = more(NETWORKS[name], items)
    for b in range(len(items)):
        here = items.layout.example == b
        one = items.take(torch.tensor([b]))
        cut = [{k: v[here] for k, v in x.items()} if isinstance(x, dict) else x[here] for x in given]
        yield network(one, *cut)


def same(left: Tensor, right: Tensor) -> None:
    torch.testing.assert_close(left, right, atol=1e-12, rtol=1e-9)


@pytest.mark.parametrize("name", CAUSAL)
@settings(max_examples=15)
@given(st.data(), lengths_of_a_batch)
def test_sees_neither_the_future_nor_batch_mates(name: str, data: st.DataObject, lengths: list[int]) -> None:
    network, items = made(name), batch(lengths)
    b = data.draw(st.integers(0, len(lengths) - 1))
    cut = data.draw(st.integers(0, lengths[b]))
    past = (items.layout.example == b) & (items.layout.position < cut)
    other = torch.where(past[:, None], items.values, items.values * 3 + 1)
    same(run(name, network, items.with_values(other))[past], run(name, network, items)[past])


@pytest.mark.parametrize("name", HIDING)
@settings(max_examples=15)
@given(lengths_of_a_batch)
def test_never_sees_what_is_hidden(name: str, lengths: list[int]) -> None:
    """Its own version of not seeing the future: the items that it is asked for can be anything."""
    network, items = made(name), batch(lengths)
    *_, hidden = more(NETWORKS[name], items)
    other = torch.where(hidden[:, None], items.values * 3 + 1, items.values)
    same(run(name, network, items.with_values(other)), run(name, network, items))


@pytest.mark.parametrize("name", NETWORKS)
def test_the_rest_matters(name: str) -> None:
    network, items = made(name), batch([6])
    seen = 0
    if not NETWORKS[name].causal:
        (seen, *_) = (~more(NETWORKS[name], items)[-1]).nonzero().squeeze(1).tolist()
    other = items.values.clone()
    other[seen] = torch.randn(DIM)
    moved = (run(name, network, items.with_values(other)) - run(name, network, items)).abs().amax(1)
    assert (moved > 1e-6).all()


@pytest.mark.parametrize("name", NETWORKS)
@settings(max_examples=10)
@given(lengths_of_a_batch)
def test_a_batch_gives_what_each_example_gives_alone(name: str, lengths: list[int]) -> None:
    network, items = made(name), batch(lengths)
    same(run(name, network, items), torch.cat(list(alone(name, network, items))))


@pytest.mark.parametrize("name", NETWORKS)
@settings(max_examples=10)
@given(lengths_of_a_batch)
def test_gradients_are_finite_and_whole(name: str, lengths: list[int]) -> None:
    """Of no tokens too: a rank without any must take part in every collective with all of its parameters."""
    network, items = made(name).train(), batch(lengths)
    values = items.values.requires_grad_()
    run(name, network, items).square().sum().backward()
    for tensor in [values, *network.parameters()]:
        assert tensor.grad is not None
        assert tensor.grad.isfinite().all()
        assert sum(lengths) or not tensor.grad.any()


@pytest.mark.parametrize("name", NETWORKS)
def test_no_parameter_is_a_constant_of_the_loss(name: str) -> None:
    """A parameter whose gradient is zero in theory lets adaptive optimizers turn rounding noise into whole steps."""
    network = made(name)
    run(name, network, batch([5, 1, 12, 7])).pow(3).sum().backward()
    for parameter_name, parameter in network.named_parameters():
        assert parameter.grad is not None
        assert parameter.grad.abs().max() > 1e-9, parameter_name


@pytest.mark.parametrize("name", [name for name, case in NETWORKS.items() if case.timed])
def test_times_matter(name: str) -> None:
    network, items = made(name), batch([6])
    later = Layout(items.layout.lengths, time=items.layout.time * 9)  # type: ignore[operator]
    assert (run(name, network, items) - run(name, network, Jagged(items.values, later))).abs().max() > 1e-6


@pytest.mark.parametrize("name", [name for name, case in NETWORKS.items() if case.features])
def test_each_feature_matters(name: str) -> None:
    network, items = made(name), batch([6])
    (features,) = more(NETWORKS[name], items)
    for feature, values in features.items():
        moved = network(items, {**features, feature: -values}) - network(items, features)
        assert moved.abs().max() > 1e-6, feature
