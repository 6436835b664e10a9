"""Every way through the CPU kernel: batched products, key by key or row by row, in pieces, and the flash kernel."""

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.models.attention.formulas import MASKS, attention, heads, layout_of, lengths, output_and_gradients

from saccade.models import products
from saccade.models.attention.attention import Attention
from saccade.models.attention.backends import batched, cpu_kernel
from saccade.models.attention.masks import Causal
from saccade.models.attention.masks.mask import Mask
from saccade.models.jagged import Jagged, Layout

WAYS = {
    "products, few keys": {"FEW": 1000},
    "products, rows": {"FEW": 0},
    "products in pieces": {"FEW": 0, "PIECE": 3},
    "products in pieces, few keys": {"FEW": 4, "PIECE": 5},
    "flash": {"SHORT": 0, "SHORT_CAUSAL": 0},
    "some of each": {"FEW": 3, "SHORT": 6, "SHORT_CAUSAL": 12, "PIECE": 4},
}


@pytest.fixture(params=WAYS, autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "LEAST", 1)  # by OpenBLAS, where it is the faster one
    for name, value in WAYS[request.param].items():
        monkeypatch.setattr(batched, name, value)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(MASKS), st.sampled_from([(1, 1), (2, 2), (4, 2)]), lengths, st.integers(0, 99))
def test_every_way_is_the_formula(mask: Mask | None, counts: tuple[int, int], sizes: list[int], seed: int) -> None:
    layout = layout_of(sizes, seed)
    query, key, value = (heads(layout, n, seed + i) for i, n in enumerate((counts[0], counts[1], counts[1])))
    got, expected = (
        output_and_gradients(
            attention("scaled_dot", "softmax", mask, [], backend, *counts),
            Jagged(query, layout),
            Jagged(key, layout),
            value,
        )
        for backend in ("grouped", "reference")
    )
    for one, other in zip(got, expected, strict=True):
        torch.testing.assert_close(one, other, atol=1e-11, rtol=1e-9)


@pytest.mark.parametrize("causal", [True, False])
def test_one_projection_is_the_same_as_three_tensors(causal: bool) -> None:
    layout = Layout(torch.tensor([7, 0, 30, 2, 30, 19]))
    packed = torch.randn(layout.total, 3 * 8, dtype=torch.float64).requires_grad_()
    layer = Attention(mask=Causal() if causal else None)
    results = []
    for separate in (False, True):
        query, key, value = packed.unflatten(-1, (3, 2, 4)).unbind(1)
        assert cpu_kernel.projection_of(query, key, value) is not None
        if separate:
            query, key, value = (x * 1.0 for x in (query, key, value))
            assert cpu_kernel.projection_of(query, key, value) is None
        output = layer(Jagged(query, layout), Jagged(key, layout), value)
        (gradient,) = torch.autograd.grad(output.square().sum(), packed)
        results.append((output, gradient))
    torch.testing.assert_close(results[0], results[1], atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("causal", [True, False])
def test_a_graph_that_is_kept_gives_its_gradients_again(causal: bool) -> None:
    layout = Layout(torch.tensor([7, 0, 30, 2, 30, 19]))
    packed = torch.randn(layout.total, 3, 2, 4, dtype=torch.float64).requires_grad_()
    query, key, value = packed.unbind(1)
    layer = Attention(mask=Causal() if causal else None)
    loss = layer(Jagged(query, layout), Jagged(key, layout), value).square().sum()
    first, second, last = (torch.autograd.grad(loss, packed, retain_graph=retain)[0] for retain in (True, True, False))
    assert torch.equal(first, second)
    assert torch.equal(first, last)


def test_views_in_another_order_are_no_projection() -> None:
    key, query, value = torch.randn(5, 3, 2, 4).unbind(1)
    assert cpu_kernel.projection_of(query, key, value) is None
    assert cpu_kernel.projection_of(key[:4], query[:4], value[:4]) is None


@pytest.mark.parametrize("mask", [Causal(), None, MASKS[3]])
def test_half_precision_is_summed_in_float32(mask: Mask | None) -> None:
    layout = layout_of([7, 0, 30, 2, 30, 19], 0)
    query = torch.randn(layout.total, 2, 16)
    layer = Attention(mask=mask)
    exact = layer(Jagged(query.bfloat16().float(), layout), Jagged(query.bfloat16().float(), layout), query)
    half = layer(Jagged(query.bfloat16(), layout), Jagged(query.bfloat16(), layout), query.bfloat16())
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half.float(), exact, atol=0.03, rtol=0.02)


def test_it_holds_nothing_back_without_gradients() -> None:
    layout = Layout(torch.tensor([3, 5]))
    layer = Attention(mask=Causal())
    query = Jagged(torch.randn(8, 2, 4), layout)
    expected = layer(query, query, query.values)
    with torch.inference_mode():
        torch.testing.assert_close(layer(query, query, query.values), expected)
