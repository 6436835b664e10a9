"""ALiBi's slopes and what they do."""

import pytest
import torch

from saccade.models.attention.coordinates import Coordinates
from saccade.models.attention.positions import ALiBi
from saccade.models.attention.positions.alibi import slopes


def test_slopes_of_the_paper() -> None:
    eight = [1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 32, 1 / 64, 1 / 128, 1 / 256]
    assert slopes(8) == eight
    assert slopes(16)[:4] == pytest.approx([2**-0.5, 2**-1.0, 2**-1.5, 2**-2.0])
    assert slopes(12) == pytest.approx([*eight, 2**-0.5, 2**-1.5, 2**-2.5, 2**-3.5])
    assert slopes(1) == [2**-8]
    assert slopes(3) == pytest.approx([2**-4, 2**-8, 2**-2])


@pytest.mark.parametrize("heads", range(1, 40))
def test_every_head_has_a_slope_of_its_own(heads: int) -> None:
    assert len(set(slopes(heads))) == heads
    assert all(0 < slope < 1 for slope in slopes(heads))


def test_falls_with_distance_in_both_directions() -> None:
    query, key = Coordinates(torch.tensor([[0, 5]])), Coordinates(torch.tensor([[4, 5, 9]]))
    found = ALiBi(2)(query.as_queries().map(lambda x: x[:, None]), key.as_keys().map(lambda x: x[:, None]))
    distance = torch.tensor([[4.0, 5.0, 9.0], [1.0, 0.0, 4.0]])
    assert torch.equal(found, -torch.stack((distance / 16, distance / 256))[None])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_follows_the_dtype_and_saves_nothing(dtype: torch.dtype) -> None:
    bias = ALiBi(8).to(dtype)
    assert not bias.state_dict()
    place = Coordinates(torch.tensor([[0, 100_000]]))  # beyond float16
    found = bias(place.as_queries().map(lambda x: x[:, None]), place.as_keys().map(lambda x: x[:, None]))
    assert found.dtype == dtype
    assert found[0, 7, 0, 1].item() == pytest.approx(-100_000 / 256, rel=4e-3)
