import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from saccade.models.attention.backends import BACKENDS, available, backend
from saccade.models.attention.grouped import SMALLEST, grouping
from saccade.models.attention.reference import reference
from saccade.models.jagged import Layout

OTHERS = sorted(set(BACKENDS) - {"reference"})
short = st.lists(st.integers(0, 9), max_size=8)
# Long enough for several groups, whose padded places exceed SMALLEST.
long = st.lists(st.integers(0, 150), min_size=10, max_size=30)


def inputs(layout: Layout, heads: int, dim: int, seed: int) -> list[Tensor]:
    rng = torch.Generator().manual_seed(seed)
    shape = (layout.total, heads, dim)
    return [torch.randn(shape, generator=rng, dtype=torch.float64).requires_grad_() for _ in range(3)]


def output_and_gradients(name: str, layout: Layout, tensors: list[Tensor], causal: bool) -> list[Tensor]:
    output = backend(name)(*tensors, layout, causal=causal)
    weight = torch.linspace(-1, 1, output.numel(), dtype=torch.float64).view_as(output)
    return [output, *torch.autograd.grad((output * weight).sum(), tensors)]


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("name", OTHERS)
@settings(max_examples=25)
@given(st.one_of(short, long), st.integers(1, 3), st.integers(1, 4), st.integers(0, 99))
def test_equals_reference(name: str, causal: bool, lengths: list[int], heads: int, dim: int, seed: int) -> None:
    layout = Layout(torch.tensor(lengths, dtype=torch.int64))
    tensors = inputs(layout, heads, dim, seed)
    expected = output_and_gradients("reference", layout, tensors, causal) if layout.total else tensors
    for got, want in zip(output_and_gradients(name, layout, tensors, causal), expected, strict=False):
        assert got.dtype == torch.float64
        torch.testing.assert_close(got, want.detach() if layout.total else torch.zeros_like(got), atol=1e-12, rtol=1e-9)


@given(long)
def test_groups_hold_each_token_once_and_pad_little(lengths: list[int]) -> None:
    layout = Layout(torch.tensor(lengths, dtype=torch.int64))
    plan = grouping(layout)
    places = torch.cat([group.index.flatten() for group in plan.groups]) if layout.total else plan.back
    assert torch.equal(places[plan.back], torch.arange(layout.total))
    for group in plan.groups[:-1]:
        real = group.index.numel() if group.mask is None else int(group.mask.sum())
        assert group.index.numel() - real <= max(0.2 * group.index.numel(), SMALLEST)


@pytest.mark.parametrize("causal", [True, False])
def test_reference_equals_torch(causal: bool) -> None:
    layout = Layout(torch.tensor([7]))
    tensors = inputs(layout, heads=2, dim=3, seed=0)
    expected = scaled_dot_product_attention(*(x.transpose(0, 1) for x in tensors), is_causal=causal).transpose(0, 1)
    torch.testing.assert_close(reference(*tensors, layout, causal=causal), expected)


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("name", sorted(BACKENDS))
@settings(max_examples=15)
@given(st.data(), st.lists(st.integers(0, 40), min_size=2, max_size=12))
def test_batch_mates_do_not_matter(name: str, causal: bool, data: st.DataObject, lengths: list[int]) -> None:
    layout = Layout(torch.tensor(lengths, dtype=torch.int64))
    tensors = [x.detach() for x in inputs(layout, heads=2, dim=4, seed=1)]
    output = backend(name)(*tensors, layout, causal=causal)
    b = data.draw(st.integers(0, len(lengths) - 1))
    own = layout.example == b
    changed = [torch.where(own[:, None, None], x, x * 50 + 7) for x in tensors]
    assert torch.equal(backend(name)(*changed, layout, causal=causal)[own], output[own])

    order = data.draw(st.permutations(range(len(lengths))))
    index = torch.cat([(layout.example == b).nonzero().squeeze(1) for b in order])
    permuted = Layout(layout.lengths[torch.tensor(order)])
    again = backend(name)(*(x[index] for x in tensors), permuted, causal=causal)
    torch.testing.assert_close(again, output[index], atol=1e-12, rtol=1e-9)


def test_an_unknown_backend_lists_the_others() -> None:
    with pytest.raises(ValueError, match="no attention backend 'flash': choose one of grouped, reference"):
        backend("flash")


def test_availability_is_told_a_device() -> None:
    assert set(available("cpu").values()) == {"ok"}
    assert set(available("xpu").values()) == {"untried on xpu"}
