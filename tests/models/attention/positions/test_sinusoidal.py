"""Sinusoidal positions against their formula."""

import math

import pytest
import torch

from saccade.models.attention.positions import SinusoidalPositions
from saccade.models.jagged import Layout


@pytest.mark.parametrize("start", [None, torch.tensor([3, 7, 0, 2, 9])])
def test_is_the_formula(start: torch.Tensor | None) -> None:
    layout = Layout(torch.tensor([5, 0, 1, 3, 5]), start=start)
    found = SinusoidalPositions(6)(layout)
    assert found.dtype == torch.float32
    for token, pos in enumerate(layout.position.tolist()):
        for i in range(3):
            angle = pos / 10000 ** (2 * i / 6)
            assert found[token, 2 * i].item() == pytest.approx(math.sin(angle), abs=1e-6)
            assert found[token, 2 * i + 1].item() == pytest.approx(math.cos(angle), abs=1e-6)


def test_takes_a_batch_without_tokens() -> None:
    assert SinusoidalPositions(6)(Layout(torch.zeros(2, dtype=torch.int64))).shape == (0, 6)


def test_refuses_an_odd_width() -> None:
    with pytest.raises(ValueError, match="sinusoidal positions: dim=5 must be even"):
        SinusoidalPositions(5)
