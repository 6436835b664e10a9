"""Rotary positions: what turns, what doesn't, and that products see distances alone."""

import cmath
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from saccade.models.attention.coordinates import Coordinates
from saccade.models.attention.positions import RotaryPositions

POSITIONS = st.lists(st.integers(0, 5000), min_size=1, max_size=6)


def turn(rotary: RotaryPositions, tokens: Tensor, positions: list[int]) -> Tensor:
    found: Tensor = rotary(tokens, Coordinates(torch.tensor(positions, dtype=torch.int64)))
    return found


def tokens_of(positions: list[int], dim: int, dtype: torch.dtype = torch.float64) -> Tensor:
    torch.manual_seed(len(positions))
    return torch.randn(len(positions), 3, dim, dtype=dtype)


@pytest.mark.parametrize(
    ("dim", "base", "fraction", "turned"), [(8, 1e4, 1.0, 8), (10, 500.0, 0.6, 6), (7, 1e4, 1.0, 6)]
)
@given(positions=POSITIONS)
def test_is_the_paper_in_complex_numbers(
    dim: int, base: float, fraction: float, turned: int, positions: list[int]
) -> None:
    tokens = tokens_of(positions, dim)
    found = turn(RotaryPositions(dim, base, fraction), tokens, positions)
    for t, m in enumerate(positions):
        for head in range(3):
            x, y = tokens[t, head].tolist(), found[t, head].tolist()
            for i in range(turned // 2):
                theta = base ** (-2 * i / turned)
                expected = complex(x[2 * i], x[2 * i + 1]) * cmath.exp(1j * m * theta)
                assert complex(y[2 * i], y[2 * i + 1]) == pytest.approx(expected, abs=1e-9)
            assert y[turned:] == x[turned:]


@given(positions=POSITIONS, shift=st.integers(0, 3000), fraction=st.sampled_from([1.0, 0.5]))
def test_products_see_distances_alone(positions: list[int], shift: int, fraction: float) -> None:
    rotary = RotaryPositions(8, fraction=fraction)
    query, key = tokens_of(positions, 8), tokens_of(positions, 8).flip(-1)
    later = [p + shift for p in positions]
    here = torch.einsum("ihd,jhd->hij", turn(rotary, query, positions), turn(rotary, key, positions))
    there = torch.einsum("ihd,jhd->hij", turn(rotary, query, later), turn(rotary, key, later))
    torch.testing.assert_close(here, there, atol=1e-9, rtol=1e-9)


@given(positions=POSITIONS)
def test_keeps_the_norm(positions: list[int]) -> None:
    tokens = tokens_of(positions, 8)
    torch.testing.assert_close(turn(RotaryPositions(8), tokens, positions).norm(dim=-1), tokens.norm(dim=-1))


def test_the_first_place_is_left_as_it_is() -> None:
    tokens = tokens_of([0, 0], 8)
    assert torch.equal(turn(RotaryPositions(8), tokens, [0, 0]), tokens)


@pytest.mark.parametrize(
    "view",
    [
        lambda x: x.clone(),
        lambda x: torch.stack((x, x, x), dim=1)[:, 1],
        lambda x: torch.cat((x.new_zeros(1), x.flatten()))[1:].view(x.shape),
        lambda x: torch.cat((x, x[..., :1]), dim=-1)[..., :-1],
        lambda x: x.mT.contiguous().mT,
        lambda x: x.transpose(0, 1).contiguous().transpose(0, 1),
    ],
    ids=["contiguous", "of a fused projection", "odd offset", "odd stride", "features apart", "heads first"],
)
def test_how_tokens_lie_in_memory_changes_nothing(view: Callable[[Tensor], Tensor]) -> None:
    positions = [0, 3, 9, 4]
    tokens = tokens_of(positions, 8)
    before = tokens.clone()
    assert torch.equal(view(tokens), tokens)
    found = turn(RotaryPositions(8), view(tokens), positions)
    assert torch.equal(found, turn(RotaryPositions(8), tokens, positions))
    assert torch.equal(tokens, before)


@pytest.mark.parametrize("fraction", [1.0, 0.5])
def test_gradients(fraction: float) -> None:
    rotary = RotaryPositions(6, fraction=fraction)
    tokens = tokens_of([4, 0, 11], 6).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: turn(rotary, x, [4, 0, 11]), tokens)


@pytest.mark.parametrize(("dtype", "error"), [(torch.float32, 1e-3), (torch.bfloat16, 3e-2), (torch.float16, 4e-3)])
def test_keeps_the_dtype(dtype: torch.dtype, error: float) -> None:
    positions = [0, 1, 257, 2049]  # bfloat16 has neither 257 nor 2049
    tokens = tokens_of(positions, 8, dtype)
    found = turn(RotaryPositions(8), tokens, positions)
    assert found.dtype == dtype
    torch.testing.assert_close(
        found.double(), turn(RotaryPositions(8), tokens.double(), positions), atol=error, rtol=error
    )


def test_takes_no_tokens() -> None:
    assert RotaryPositions(8)(torch.zeros(0, 3, 8), Coordinates(torch.zeros(0, dtype=torch.int64))).shape == (0, 3, 8)


def test_a_fraction_that_binary_numbers_miss() -> None:
    assert RotaryPositions(200, fraction=0.58).turned == 116


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"base": 0.0}, "position rotary: base=0.0 must be above 0"),
        ({"fraction": 0.0}, "position rotary: fraction=0.0 must be above 0 and at most 1"),
        ({"fraction": 1.5}, "position rotary: fraction=1.5 must be above 0 and at most 1"),
        ({"fraction": 0.2}, "position rotary: fraction=0.2 of a head's 8 features is less than the two of a pair"),
    ],
)
def test_refuses_bad_options(options: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RotaryPositions(8, **options)
