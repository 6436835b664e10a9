"""Softmax: its temperature and its cap."""

import torch

from saccade.models.attention.normalizers import Softmax

SCORES = torch.tensor([[3.0, -2.0, 40.0, 7.0], [0.5, 0.25, 0.0, -1.0]], dtype=torch.float64)
ALLOWED = torch.tensor([[True, True, True, False], [False, True, True, True]])


def test_softmax_is_torchs() -> None:
    torch.testing.assert_close(Softmax()(SCORES), SCORES.softmax(-1))
    hidden = SCORES.masked_fill(~ALLOWED, float("-inf")).softmax(-1)
    torch.testing.assert_close(Softmax()(SCORES, ALLOWED), hidden)


def test_the_temperature_divides() -> None:
    torch.testing.assert_close(Softmax(temperature=0.5)(SCORES), (2 * SCORES).softmax(-1))


def test_the_cap_comes_before_the_temperature_and_not_to_masked_keys() -> None:
    capped = 5 * (SCORES / 5).tanh() / 0.1
    found = Softmax(temperature=0.1, soft_cap=5.0)
    torch.testing.assert_close(found(SCORES), capped.softmax(-1))
    torch.testing.assert_close(found(SCORES, ALLOWED), capped.masked_fill(~ALLOWED, float("-inf")).softmax(-1))


def test_the_gradient_of_the_cap_is_the_finite_difference() -> None:
    scores = torch.randn(3, 5, dtype=torch.float64, requires_grad=True)
    allowed = torch.tensor([[True] * 5, [False] * 5, [True, False, True, False, True]])
    assert torch.autograd.gradcheck(lambda s: Softmax(0.7, soft_cap=2.0)(s, allowed), (scores,))
