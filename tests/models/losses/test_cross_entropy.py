"""Cross-entropy summed over its targets."""

import torch

from saccade.models.losses.cross_entropy import cross_entropy


def test_equals_the_formula_with_smoothing() -> None:
    torch.manual_seed(0)
    logits, targets = torch.randn(5, 3), torch.tensor([0, 2, 1, 1, 0])
    wanted = torch.nn.functional.one_hot(targets, 3) * 0.7 + 0.3 / 3
    expected = -(wanted * logits.log_softmax(1)).sum()
    torch.testing.assert_close(cross_entropy(logits, targets, 0.3), expected)


def test_no_targets_give_zero_with_a_gradient() -> None:
    logits = torch.zeros(0, 3, requires_grad=True)
    loss = cross_entropy(logits, torch.zeros(0, dtype=torch.int64), 0.1)
    loss.backward()
    assert loss.item() == 0.0
    assert logits.grad is not None
