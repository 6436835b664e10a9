"""Two towers against the formula written out for one history and one item at a time, in float64."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from saccade.models.jagged import Jagged, Layout, last_tokens
from saccade.models.recommendation.two_towers import TwoTowers, window_means

DIM, WINDOWS = 6, (1, 3, 50)
lengths_of_a_batch = st.lists(st.integers(0, 9), min_size=1, max_size=6)


def made(layers: tuple[int, ...] = (8, 5)) -> TwoTowers:
    torch.manual_seed(0)
    return TwoTowers(DIM, WINDOWS, layers, 4, 0.5).double().eval()


def batch(lengths: list[int]) -> Jagged:
    layout = Layout(torch.tensor(lengths, dtype=torch.int64))
    rng = torch.Generator().manual_seed(0)
    return Jagged(torch.randn(layout.total, DIM, generator=rng, dtype=torch.float64), layout)


def tower(part: nn.Module, inputs: list[float]) -> list[float]:
    """Wₙ relu(… relu(W₁ x + b₁)) + bₙ, divided by its norm."""
    linear = [module for module in part.modules() if isinstance(module, nn.Linear)]
    for number, layer in enumerate(linear):
        inputs = [
            sum(w * x for w, x in zip(row, inputs, strict=True)) + bias
            for row, bias in zip(layer.weight.tolist(), layer.bias.tolist(), strict=True)
        ]
        inputs = [max(x, 0.0) for x in inputs] if number < len(linear) - 1 else inputs
    norm = math.sqrt(sum(x * x for x in inputs))
    return [x / norm for x in inputs]


def user(network: TwoTowers, history: Tensor) -> list[float]:
    """Of the items of a history up to the one that is asked."""
    inputs = []
    for window in WINDOWS:
        latest = history[-window:].tolist()
        inputs += [math.sqrt(DIM) * sum(item[f] for item in latest) / len(latest) for f in range(DIM)]
    return tower(network.user, inputs)


@settings(max_examples=20)
@given(lengths_of_a_batch, st.integers(0, 4), st.sampled_from([(), (8,), (8, 5)]))
def test_equals_the_formula(lengths: list[int], candidates: int, layers: tuple[int, ...]) -> None:
    network, items = made(layers), batch(lengths)
    rows = torch.randn(candidates, DIM, dtype=torch.float64)
    expected = [user(network, history[: n + 1]) for history in items.unpack() for n in range(len(history))]
    expected += [tower(network.item, [math.sqrt(DIM) * x for x in row]) for row in rows.tolist()]
    found = network(items, rows)
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64).reshape(-1, 4))
    assert torch.equal(network(items), found[: len(found) - candidates])


@given(lengths_of_a_batch)
def test_only_last_tokens_are_computed_where_no_others_are_asked(lengths: list[int]) -> None:
    network, items = made(), batch(lengths)
    index = last_tokens(items.layout)
    found = network(Jagged(items.values, items.layout.for_last()), items.values[:2])
    torch.testing.assert_close(found[: items.layout.total][index], network(items)[index])
    torch.testing.assert_close(found[items.layout.total :], network(items, items.values[:2])[items.layout.total :])
    assert found.abs().sum(1).count_nonzero() == len(index) + min(2, items.layout.total)


def test_float32_means_do_not_feel_what_came_long_before() -> None:
    """A running sum in float32 would have lost the last digits by then."""
    values = torch.cat((torch.full((100_000, 1), 1000.0), torch.full((3, 1), 0.1)))
    found = window_means(Jagged(values, Layout(torch.tensor([100_000, 3]))), [1, 2])
    assert found[-3:].flatten().tolist() == pytest.approx([0.1] * 6, rel=1e-6)


def test_half_precision_comes_out_normalised_in_float32() -> None:
    network = TwoTowers(DIM, WINDOWS, (8,), 4, 0.5).eval()
    items = batch([5, 2])
    with torch.autocast("cpu", torch.bfloat16):
        found = network(items.with_values(items.values.float()), items.values.float())
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.norm(dim=1), torch.ones(14))
