"""The hard normalizer: an argmax."""

import torch

from saccade.models.attention.normalizers import Hard


def test_the_first_of_the_best_gets_all() -> None:
    scores = torch.tensor([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0], [-5.0, -7.0, -6.0]])
    assert Hard()(scores).tolist() == [[0, 1, 0], [1, 0, 0], [1, 0, 0]]
    assert Hard()(torch.tensor([0.0, 1e-12])).tolist() == [0, 1]
    allowed = torch.tensor([[True, False, True], [False, False, True], [False, False, False]])
    assert Hard()(scores, allowed).tolist() == [[0, 0, 1], [0, 0, 1], [0, 0, 0]]


def test_straight_through_has_the_gradient_of_the_softmax() -> None:
    torch.manual_seed(0)
    scores = torch.randn(2000, 5, requires_grad=True)
    allowed = torch.rand(2000, 5) < 0.8
    up = torch.randn(2000, 5)
    weights = Hard()(scores, allowed)
    assert set(weights.unique().tolist()) <= {0.0, 1.0}
    (found,) = torch.autograd.grad(weights, scores, up)
    soft = scores.masked_fill(~allowed, -1e30).softmax(-1).masked_fill(~allowed, 0)
    (expected,) = torch.autograd.grad(soft, scores, up)
    torch.testing.assert_close(found, expected)


def test_without_straight_through_the_gradient_is_zero() -> None:
    scores = torch.randn(4, 5, requires_grad=True)
    weights = Hard(straight_through=False)(scores)
    weights.square().sum().backward()
    assert torch.equal(weights, Hard()(scores))
    assert scores.grad is not None
    assert not scores.grad.any()
