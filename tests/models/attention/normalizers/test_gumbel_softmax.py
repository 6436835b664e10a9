"""Gumbel-softmax: what it draws, how it is trained, and its schedule."""

import math

import pytest
import torch
from torch import Tensor

from saccade.models.attention.normalizers import GumbelSoftmax
from saccade.models.attention.normalizers.gumbel_softmax import gumbel_noise

SCORES = torch.tensor([1.0, -0.5, 0.0, 2.0, 0.3])
DRAWS = 40_000
CHI_SQUARE = {3: 16.27, 4: 18.47}
"""What a chi-square of so many degrees of freedom is above once in a thousand."""


def chi_square(counts: Tensor, probabilities: Tensor) -> float:
    expected = probabilities * counts.sum()
    return ((counts - expected).square() / expected).sum().item()


@pytest.mark.parametrize("hard", [True, False])
@pytest.mark.parametrize("temperature", [0.1, 1.0, 10.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_best_key_is_drawn_from_the_softmax(hard: bool, temperature: float, dtype: torch.dtype) -> None:
    torch.manual_seed(7)
    scores = SCORES.to(dtype).expand(DRAWS, 5)
    # In bfloat16 soft weights of a high temperature are rounded into ties, so only their one-hot tells the draw.
    weights = GumbelSoftmax(temperature, hard=hard or dtype == torch.bfloat16)(scores)
    counts = weights.argmax(-1).bincount(minlength=5)
    assert chi_square(counts, SCORES.to(dtype).float().softmax(-1)) < CHI_SQUARE[4]


def test_a_masked_key_is_never_drawn() -> None:
    torch.manual_seed(8)
    allowed = torch.tensor([True, True, True, False, True])
    counts = GumbelSoftmax(hard=True)(SCORES.expand(DRAWS, 5), allowed).sum(0)
    assert counts[3] == 0
    assert chi_square(counts[allowed], SCORES[allowed].softmax(-1)) < CHI_SQUARE[3]


def test_the_noise_is_gumbels() -> None:
    torch.manual_seed(9)
    noise = gumbel_noise(torch.empty(200_000))
    assert noise.isfinite().all()
    assert noise.mean().item() == pytest.approx(0.5772, abs=0.01)
    assert noise.var().item() == pytest.approx(math.pi**2 / 6, abs=0.03)


def test_hard_weights_are_one_hot_with_the_soft_gradient() -> None:
    up = torch.randn(50, 5)
    results = []
    for hard in (True, False):
        torch.manual_seed(10)
        scores = SCORES.repeat(50, 1).requires_grad_()
        weights = GumbelSoftmax(0.5, hard=hard)(scores)
        results.append((weights, *torch.autograd.grad(weights, scores, up)))
    (one_hot, hard_gradient), (soft, soft_gradient) = results
    assert torch.equal(one_hot, torch.eye(5)[soft.argmax(-1)])
    assert torch.equal(hard_gradient, soft_gradient)
    assert soft_gradient.any()


def test_evaluation_has_no_noise() -> None:
    scores = torch.randn(6, 5)
    torch.testing.assert_close(GumbelSoftmax(0.5).eval()(scores), (scores / 0.5).softmax(-1))
    assert torch.equal(GumbelSoftmax(hard=True).eval()(scores), torch.eye(5)[scores.argmax(-1)])
    assert GumbelSoftmax(1e3, hard=True).eval()(torch.tensor([0.0, 1e-6])).tolist() == [0, 1]


def test_training_draws_from_torchs_generator() -> None:
    torch.manual_seed(11)
    normalizer, scores = GumbelSoftmax(), torch.randn(6, 5)
    state = torch.get_rng_state()
    first, second = normalizer(scores), normalizer(scores)
    torch.set_rng_state(state)
    assert torch.equal(normalizer(scores), first)
    assert not torch.equal(first, second)


def test_the_temperature_goes_by_a_constant_factor_and_then_stays() -> None:
    normalizer = GumbelSoftmax(2.0, final_temperature=0.02, steps=100)
    found = []
    for step in (0, 50, 100, 1000):
        normalizer.at_step(step)
        found.append(normalizer.temperature)
    assert found == pytest.approx([2.0, 0.2, 0.02, 0.02])
    scores = torch.randn(6, 5)
    torch.testing.assert_close(normalizer.eval()(scores), (scores / 0.02).softmax(-1))
    assert not normalizer.state_dict()


def test_without_a_final_temperature_it_never_changes() -> None:
    normalizer = GumbelSoftmax(0.7, steps=10)
    normalizer.at_step(5)
    assert normalizer.temperature == pytest.approx(0.7)
