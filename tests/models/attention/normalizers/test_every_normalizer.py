"""What every normalizer of the registry promises, those of plug-ins included once they are imported."""

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.models.attention.formulas import own
from torch import Tensor

import saccade.models.attention.normalizers
from saccade.models.attention.normalizers.normalizer import Normalizer
from saccade.models.registry import Choice

CHOICES = [Choice.of(entry.name) for entry in own("normalizer")] + [
    Choice.of("softmax", temperature=0.3, soft_cap=5.0),
    Choice.of("gumbel_softmax", hard=True),
    Choice.of("gumbel_softmax", temperature=2.0, final_temperature=0.1, steps=10),
    Choice.of("hard", straight_through=False),
    Choice.of("sigmoid", bias=-1.0),
]
every_choice = pytest.mark.parametrize("choice", CHOICES, ids=lambda c: "-".join([c.name, *c.options]))


def build(choice: Choice) -> Normalizer:
    normalizer: Normalizer = choice.build("normalizer", dim=8, heads=2, key_heads=2, max_length=50)
    return normalizer


def test_the_package_registers_its_own() -> None:
    names = {"softmax", "gumbel_softmax", "hard", "sparsemax", "entmax15", "sigmoid", "silu"}
    assert {entry.name for entry in own("normalizer")} == names
    classes = {entry.cls.__name__ for entry in own("normalizer") if entry.name in names}
    assert classes < set(saccade.models.attention.normalizers.__all__)


@st.composite
def rows(draw: st.DrawFn) -> tuple[Tensor, Tensor]:
    """Scores [3, 2, L, K] in float64 and a mask of them, whose first row is empty; there may be no keys at all."""
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    shape = (3, 2, draw(st.integers(1, 4)), draw(st.integers(0, 9)))
    scores = torch.randn(shape, generator=generator, dtype=torch.float64) * draw(st.sampled_from([0.1, 1.0, 10.0, 1e4]))
    if draw(st.booleans()):
        scores = scores.round()  # ties
    allowed = torch.rand(shape, generator=generator) < draw(st.floats(0, 1))
    allowed[0, 0, 0] = False
    return scores, allowed


def run(normalizer: Normalizer, scores: Tensor, allowed: Tensor | None, up: Tensor) -> tuple[Tensor, Tensor]:
    """Weights, and the scores' gradient when the weights' is ``up``."""
    leaf = scores.clone().requires_grad_()
    weights = normalizer(leaf, allowed)
    assert weights.requires_grad
    (gradient,) = torch.autograd.grad(weights, leaf, up.to(weights.dtype))
    return weights.detach(), gradient


@every_choice
@pytest.mark.parametrize("training", [True, False])
@given(drawn=rows())
def test_what_is_masked_has_no_weight_and_no_gradient(
    choice: Choice, training: bool, drawn: tuple[Tensor, Tensor]
) -> None:
    scores, allowed = drawn
    weights, gradient = run(build(choice).train(training), scores, allowed, torch.randn_like(scores))
    assert weights.isfinite().all()
    assert gradient.isfinite().all()
    assert not weights[~allowed].any()
    assert not gradient[~allowed].any()


@every_choice
@given(drawn=rows(), extra=st.integers(1, 40), junk=st.sampled_from([-1e4, 0.0, 1e4]))
def test_extra_masked_columns_change_nothing(
    choice: Choice, drawn: tuple[Tensor, Tensor], extra: int, junk: float
) -> None:
    scores, allowed = drawn
    normalizer = build(choice).eval()
    up = torch.randn_like(scores)
    padding = scores.new_full((*scores.shape[:-1], extra), junk)
    padded = torch.cat((scores, padding), -1)
    for mask in (allowed, None):
        real = torch.ones_like(allowed) if mask is None else mask
        wide = torch.cat((real, torch.zeros_like(padding, dtype=torch.bool)), -1)
        expected = run(normalizer, scores, mask, up)
        found = run(normalizer, padded, wide, torch.cat((up, padding), -1))
        for one, other in zip(expected, found, strict=True):
            torch.testing.assert_close(other[..., : scores.shape[-1]], one, rtol=1e-12, atol=1e-12)
            assert not other[..., scores.shape[-1] :].any()


@every_choice
@given(drawn=rows())
def test_a_row_does_not_depend_on_the_others(choice: Choice, drawn: tuple[Tensor, Tensor]) -> None:
    scores, allowed = drawn
    normalizer = build(choice).eval()
    alone = normalizer(scores[1:2, :, :1], allowed[1:2, :, :1])
    torch.testing.assert_close(normalizer(scores, allowed)[1:2, :, :1], alone, rtol=1e-14, atol=1e-14)


@every_choice
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("size", [1e-4, 1.0, 1e4])
def test_scores_of_any_size_stay_finite(choice: Choice, training: bool, dtype: torch.dtype, size: float) -> None:
    scores = (torch.randn(2, 3, 5, 7) * size).to(dtype)
    scores[:, :, -2], scores[:, :, -1] = size, -size
    allowed = torch.rand(scores.shape) < 0.5
    allowed[..., 0, :] = False
    for mask in (None, allowed):
        weights, gradient = run(build(choice).train(training), scores, mask, torch.ones_like(scores))
        assert weights.dtype == gradient.dtype == dtype
        assert weights.isfinite().all()
        assert gradient.isfinite().all()


@every_choice
def test_evaluation_is_deterministic(choice: Choice) -> None:
    normalizer = build(choice).eval()
    scores = torch.randn(2, 3, 4, 5)
    assert torch.equal(normalizer(scores), normalizer(scores))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("softmax", {"temperature": 0.0}, "softmax: temperature=0.0"),
        ("softmax", {"temperature": float("nan")}, "softmax: temperature=nan"),
        ("softmax", {"soft_cap": -1.0}, "softmax: soft_cap=-1.0"),
        ("gumbel_softmax", {"temperature": -1}, "gumbel_softmax: temperature=-1"),
        ("gumbel_softmax", {"final_temperature": 1e-9}, "gumbel_softmax: final_temperature=1e-09"),
        ("gumbel_softmax", {"steps": 0}, "gumbel_softmax: steps=0"),
    ],
)
def test_a_bad_option_is_named(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(Choice.of(name, **options))
