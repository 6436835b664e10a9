"""The promise of every backend: what `reference` gives, outputs and gradients, for whatever formula it takes."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.models.attention.formulas import (
    INSIDE,
    MASKS,
    NORMALIZERS,
    SCORES,
    attention,
    heads,
    layout_of,
    lengths,
    output_and_gradients,
)
from torch.nn.attention.flex_attention import flex_attention

from saccade.models.attention.backends import choose
from saccade.models.attention.backends import flex as flex_file
from saccade.models.attention.backends.choose import BACKENDS
from saccade.models.attention.formula import Formula
from saccade.models.attention.masks.mask import Mask
from saccade.models.jagged import Jagged

positions = st.lists(st.sampled_from(INSIDE), max_size=2, unique=True)
head_counts = st.sampled_from([(1, 1), (2, 2), (4, 2), (3, 1)])


def assert_same(got: list[torch.Tensor], expected: list[torch.Tensor]) -> None:
    for one, other in zip(got, expected, strict=True):
        assert torch.isfinite(one).all()
        torch.testing.assert_close(one, other, atol=1e-10, rtol=1e-8)


@pytest.mark.parametrize("normalizer", NORMALIZERS)
@pytest.mark.parametrize("score", SCORES)
@settings(max_examples=8)
@given(st.sampled_from(MASKS), positions, head_counts, lengths, st.integers(0, 99))
def test_grouped_self_attention(
    score: str,
    normalizer: str,
    mask: Mask | None,
    where: list[str],
    counts: tuple[int, int],
    sizes: list[int],
    seed: int,
) -> None:
    layout = layout_of(sizes, seed)
    query, key, value = (heads(layout, n, seed + i) for i, n in enumerate((counts[0], counts[1], counts[1])))
    results = [
        output_and_gradients(
            attention(score, normalizer, mask, where, backend, *counts),
            Jagged(query, layout),
            Jagged(key, layout),
            value,
        )
        for backend in ("grouped", "reference")
    ]
    assert_same(*results)


@pytest.mark.parametrize("normalizer", NORMALIZERS)
@pytest.mark.parametrize("score", SCORES)
@settings(max_examples=4)
@given(st.sampled_from(MASKS), positions, head_counts, st.data(), st.integers(0, 99))
def test_grouped_cross_attention(
    score: str,
    normalizer: str,
    mask: Mask | None,
    where: list[str],
    counts: tuple[int, int],
    data: st.DataObject,
    seed: int,
) -> None:
    sizes = data.draw(lengths)
    targets = data.draw(
        st.one_of(st.just([1] * len(sizes)), st.lists(st.integers(0, 6), min_size=len(sizes), max_size=len(sizes)))
    )
    rows, columns = layout_of(targets, seed), layout_of(sizes, seed + 1)
    query, key, value = (
        heads(rows, counts[0], seed),
        heads(columns, counts[1], seed + 1),
        heads(columns, counts[1], seed + 2, 3),
    )
    results = [
        output_and_gradients(
            attention(score, normalizer, mask, where, backend, *counts),
            Jagged(query, rows),
            Jagged(key, columns),
            value,
        )
        for backend in ("grouped", "reference")
    ]
    assert_same(*results)


@pytest.mark.parametrize("mask", MASKS, ids=str)
@pytest.mark.parametrize("score", ["scaled_dot", "cosine"])
@settings(max_examples=3)
@given(st.lists(st.sampled_from(INSIDE), max_size=2, unique=True), head_counts, lengths, st.integers(0, 99))
def test_flex_computes_what_reference_does(
    score: str, mask: Mask | None, where: list[str], counts: tuple[int, int], sizes: list[int], seed: int
) -> None:
    """Its functions of mask and score, by the uncompiled kernel; the compiled one needs CUDA."""
    layout = layout_of(sizes, seed)
    query, key, value = (
        heads(layout, n, seed + i, 4).detach() for i, n in enumerate((counts[0], counts[1], counts[1]))
    )
    layer = attention(score, "softmax", mask, where, "reference", *counts).requires_grad_(False)
    q, k = layer.prepare(Jagged(query, layout), Jagged(key, layout))
    got = flex_file.flex(layer.formula, q, k, value, flex_attention)
    torch.testing.assert_close(got, layer(Jagged(query, layout), Jagged(key, layout), value), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("normalizer", NORMALIZERS)
@settings(max_examples=10)
@given(st.sampled_from(SCORES), st.sampled_from(MASKS), positions, st.data(), st.integers(0, 99))
def test_batch_mates_and_their_order_do_not_matter(
    normalizer: str, score: str, mask: Mask | None, where: list[str], data: st.DataObject, seed: int
) -> None:
    sizes = data.draw(st.lists(st.integers(0, 30), min_size=2, max_size=10))
    layout = layout_of(sizes, seed)
    query, key, value = (heads(layout, 2, seed + i).detach() for i in range(3))
    layer = attention(score, normalizer, mask, where, "auto", 2, 2)
    output = layer(Jagged(query, layout), Jagged(key, layout), value)

    one = data.draw(st.integers(0, len(sizes) - 1))
    own = (layout.example == one)[:, None, None]
    changed = [torch.where(own, x, x * 50 + 7) for x in (query, key, value)]
    again = layer(Jagged(changed[0], layout), Jagged(changed[1], layout), changed[2])
    assert torch.equal(again[own[:, 0, 0]], output[own[:, 0, 0]])

    order = torch.tensor(data.draw(st.permutations(range(len(sizes)))))
    packed = Jagged(torch.stack((query, key, value), 1), layout).take(order)
    again = layer(*(packed.with_values(packed.values[:, i]) for i in (0, 1)), packed.values[:, 2])
    torch.testing.assert_close(again, Jagged(output, layout).take(order).values, atol=1e-11, rtol=1e-9)


def test_who_refuses_says_why_and_who_can() -> None:
    layout = layout_of([3, 2], 0)
    query = Jagged(heads(layout, 2, 0), layout)
    layer = attention("additive", "sparsemax", None, [], "varlen", 2, 2)
    with pytest.raises(ValueError, match=r"varlen can't compute Additive × Sparsemax.*needs CUDA.*grouped, reference"):
        layer(query, query, query.values)


def test_backends_say_what_they_refuse() -> None:
    layout = layout_of([3, 2], 0)
    query = Jagged(heads(layout, 2, 0), layout)
    layer = attention("scaled_dot", "softmax", None, [], "auto", 2, 2)
    formula = layer.formula
    assert isinstance(formula, Formula)
    assert BACKENDS["grouped"].refuses(formula, query, query) is None
    assert "CUDA" in str(BACKENDS["varlen"].refuses(formula, query, query))
    assert "CUDA" in str(BACKENDS["flex"].refuses(formula, query, query))


def test_the_choice_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    layout = layout_of([4], 0)
    query = Jagged(heads(layout, 1, 0), layout)
    layer = attention("cosine", "entmax15", MASKS[5], [], "auto", 1, 1)
    choose._tell.cache_clear()
    with caplog.at_level("INFO"):
        for _ in range(3):
            layer(query, query, query.values)
    assert len([r for r in caplog.records if "attention by backend grouped" in r.getMessage()]) == 1


@pytest.mark.parametrize("normalizer", NORMALIZERS)
@pytest.mark.parametrize("score", SCORES)
def test_an_empty_batch_gives_every_parameter_a_gradient(score: str, normalizer: str) -> None:
    """A rank whose micro-batch is empty runs the same backward as the others."""
    layout = layout_of([0, 0], 0)
    query = Jagged(heads(layout, 2, 0), layout)
    layer = attention(score, normalizer, MASKS[1], INSIDE, "auto", 2, 2)
    layer(query, query, query.values).sum().backward()
    assert all(p.grad is not None and not p.grad.any() for p in layer.parameters())
