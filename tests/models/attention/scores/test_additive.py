"""The additive score's memory: queries go in pieces."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from saccade.models.attention.scores import Additive, additive


class Largest(TorchDispatchMode):
    """Remembers the most elements that any result had."""

    def __init__(self) -> None:
        super().__init__()
        self.elements = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if isinstance(result, Tensor):
            self.elements = max(self.elements, result.numel())
        return result


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("rows", [1, 3, 11])
def test_pieces_give_the_same_in_bounded_memory(monkeypatch: pytest.MonkeyPatch, rows: int, training: bool) -> None:
    torch.manual_seed(0)
    score = Additive(5, 2, 2).double()
    query = torch.randn(3, 2, 11, 5, dtype=torch.float64, requires_grad=training)
    key = torch.randn(3, 2, 7, 5, dtype=torch.float64, requires_grad=training)
    up = torch.randn(3, 2, 11, 7, dtype=torch.float64)
    inputs = (query, key, score.vector)

    def run() -> tuple[Tensor, ...]:
        with torch.set_grad_enabled(training):
            scores = score(query, key)
            return (scores, *torch.autograd.grad(scores, inputs, up)) if training else (scores,)

    expected = run()
    bound = rows * key.numel()
    monkeypatch.setattr(additive, "ELEMENTS", bound)
    with Largest() as largest:
        found = run()
    assert largest.elements <= max(bound, expected[0].numel())
    for one, other in zip(expected, found, strict=True):
        torch.testing.assert_close(other, one, rtol=1e-12, atol=1e-12)
