"""Sparsemax and entmax, held to their definitions."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from saccade.models.attention.normalizers import Entmax15, Normalizer, Sparsemax

Weigh = Callable[[Tensor, Tensor], Tensor]


def sparsemax_at(scores: Tensor, threshold: Tensor) -> Tensor:
    return (scores - threshold).clamp(min=0)


def entmax15_at(scores: Tensor, threshold: Tensor) -> Tensor:
    return (scores / 2 - threshold).clamp(min=0) ** 2


def bisected(scores: Tensor, at: Weigh) -> Tensor:
    """The weights whose sum is 1, the threshold found by halving an interval."""
    low, high = scores.min(-1, keepdim=True).values.clamp(max=0) - 2, scores.max(-1, keepdim=True).values.clamp(min=0)
    for _ in range(200):
        middle = (low + high) / 2
        too_much = at(scores, middle).sum(-1, keepdim=True) > 1
        low, high = torch.where(too_much, middle, low), torch.where(too_much, high, middle)
    return at(scores, high)


both = pytest.mark.parametrize(("normalizer", "at"), [(Sparsemax(), sparsemax_at), (Entmax15(), entmax15_at)])


@both
@given(
    seed=st.integers(0, 2**31), keys=st.integers(1, 60), size=st.sampled_from([0.01, 0.3, 1.0, 5.0]), ties=st.booleans()
)
def test_weights_are_those_of_the_threshold_that_makes_them_sum_to_1(
    normalizer: Normalizer, at: Weigh, seed: int, keys: int, size: float, ties: bool
) -> None:
    scores = torch.randn(5, keys, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) * size
    if ties:
        scores = (scores * 2).round() / 2
    weights = normalizer(scores)
    torch.testing.assert_close(weights, bisected(scores, at), rtol=0, atol=1e-12)
    torch.testing.assert_close(weights.sum(-1), torch.ones(5, dtype=torch.float64), rtol=0, atol=1e-13)


@given(seed=st.integers(0, 2**31), keys=st.integers(2, 30))
def test_sparsemax_is_the_nearest_point_of_the_simplex(seed: int, keys: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(keys, dtype=torch.float64, generator=generator)
    distance = (Sparsemax()(scores) - scores).square().sum()
    others = torch.rand(200, keys, dtype=torch.float64, generator=generator).softmax(-1)
    others = torch.cat((others, torch.eye(keys, dtype=torch.float64), 0.9 * Sparsemax()(scores) + 0.1 * others))
    assert (distance <= (others - scores).square().sum(-1) + 1e-12).all()


@given(seed=st.integers(0, 2**31), keys=st.integers(2, 30))
def test_entmax_maximises_scores_and_tsallis_entropy(seed: int, keys: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(keys, dtype=torch.float64, generator=generator)

    def objective(weights: Tensor) -> Tensor:
        entropy = (weights - weights**1.5).sum(-1) / (1.5 * 0.5)
        return weights @ scores + entropy

    best = Entmax15()(scores)
    others = torch.rand(200, keys, dtype=torch.float64, generator=generator).softmax(-1)
    others = torch.cat((others, torch.eye(keys, dtype=torch.float64), 0.9 * best + 0.1 * others))
    assert (objective(best) >= objective(others) - 1e-12).all()


def test_exact_zeros_begin_where_they_should() -> None:
    gap = torch.tensor([0.0, 0.5, 0.99, 1.0, 1.99, 2.0, 5.0], dtype=torch.float64)
    scores = torch.stack((gap, torch.zeros_like(gap)), -1)
    assert (Sparsemax()(scores)[:, 1] == 0).tolist() == [False, False, False, True, True, True, True]
    assert (Entmax15()(scores)[:, 1] == 0).tolist() == [False, False, False, False, False, True, True]
    torch.testing.assert_close(Sparsemax()(scores)[:, 0], (0.5 + gap / 2).clamp(max=1), rtol=0, atol=1e-15)


@both
def test_equal_scores_give_the_softmax(normalizer: Normalizer, at: Weigh) -> None:
    scores = torch.full((3, 7), 2.5, dtype=torch.float64)
    torch.testing.assert_close(normalizer(scores), scores.softmax(-1), rtol=0, atol=1e-15)


@both
def test_the_gradient_is_the_finite_difference(normalizer: Normalizer, at: Weigh) -> None:
    torch.manual_seed(0)
    scores = torch.randn(3, 4, 6, dtype=torch.float64, requires_grad=True)
    allowed = torch.rand(3, 4, 6) < 0.7
    allowed[0] = False
    assert (normalizer(scores, allowed)[allowed] == 0).any()
    assert torch.autograd.gradcheck(normalizer, (scores,))
    assert torch.autograd.gradcheck(lambda s: normalizer(s, allowed), (scores,))


@both
@pytest.mark.parametrize("size", [0.0, 1e-3, 0.1, 1.0, 100.0])
def test_long_rows_are_right_in_float32(normalizer: Normalizer, at: Weigh, size: float) -> None:
    scores = torch.randn(4, 5000, generator=torch.Generator().manual_seed(1)) * size
    weights = normalizer(scores)
    torch.testing.assert_close(weights.sum(-1), torch.ones(4), rtol=0, atol=1e-5)
    torch.testing.assert_close(weights.double(), bisected(scores.double(), at), rtol=1e-3, atol=1e-6)


@both
def test_slow_rows_reach_their_threshold(normalizer: Normalizer, at: Weigh) -> None:
    """Rows that take many steps: keys ever closer to the threshold, each dropped only after the one before."""
    steps = torch.arange(300, dtype=torch.float64)
    rows = [-(1 - base**-steps) for base in (1.01, 1.1, 2.0)] + [-((steps / 300) ** 0.1), -((steps / 300) ** 8)]
    scores = torch.stack(rows) * 2
    torch.testing.assert_close(normalizer(scores), bisected(scores, at), rtol=0, atol=1e-12)


@both
def test_not_a_number_comes_through(normalizer: Normalizer, at: Weigh) -> None:
    scores = torch.tensor([[1.0, float("nan")], [1.0, 1.0]])
    weights = normalizer(scores)
    assert weights[0].isnan().all()
    assert weights[1].tolist() == pytest.approx([0.5, 0.5])
