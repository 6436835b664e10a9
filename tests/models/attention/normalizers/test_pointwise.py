"""Sigmoid and SiLU: the normalizers whose weights look at their own pair alone."""

import math

import pytest
import torch

from saccade.models.attention.normalizers import Sigmoid, SiLU


@pytest.mark.parametrize("bias", [None, 0.0, -2.5])
def test_sigmoid_is_the_formula(bias: float | None) -> None:
    added = -math.log(20) if bias is None else bias
    weights = Sigmoid(20, bias)(torch.tensor([-3.0, 0.0, 1.5], dtype=torch.float64))
    expected = [1 / (1 + math.exp(-(s + added))) for s in (-3.0, 0.0, 1.5)]
    assert weights.tolist() == pytest.approx(expected, abs=1e-15)


def test_sigmoid_weights_of_a_whole_row_begin_at_about_1() -> None:
    assert Sigmoid(200)(torch.zeros(200)).sum().item() == pytest.approx(1, abs=0.01)


def test_silu_is_the_formula() -> None:
    weights = SiLU(20)(torch.tensor([-3.0, 0.0, 1.5], dtype=torch.float64))
    assert weights.tolist() == pytest.approx([s / (1 + math.exp(-s)) / 20 for s in (-3.0, 0.0, 1.5)], abs=1e-15)


@pytest.mark.parametrize("normalizer", [Sigmoid(7), SiLU(7)])
def test_the_gradient_is_the_finite_difference(normalizer: torch.nn.Module) -> None:
    scores = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    allowed = torch.tensor([True, False, True, True])
    assert torch.autograd.gradcheck(lambda s: normalizer(s, allowed), (scores,))
