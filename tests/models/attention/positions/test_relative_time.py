"""Relative times against their formula, pair by pair."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from saccade.models.attention.coordinates import Coordinates, coordinates
from saccade.models.attention.positions import RelativeTime
from saccade.models.jagged import Layout

MOMENTS = st.lists(st.integers(0, 10**9), min_size=1, max_size=6)


@given(
    times=MOMENTS,
    dtype=st.sampled_from([torch.int64, torch.float64]),
    buckets=st.integers(1, 60),
    unit=st.sampled_from([1.0, 0.5, 60.0, 86400.0]),
    divisor=st.sampled_from([0.301, 0.693, 1.0]),
)
def test_is_the_formula(times: list[int], dtype: torch.dtype, buckets: int, unit: float, divisor: float) -> None:
    bias = RelativeTime(1, buckets, unit, divisor)
    place = Coordinates(torch.arange(len(times)), torch.tensor(times, dtype=dtype) + 1_500_000_000)
    found = bias.bucket(place.as_queries(), place.as_keys())
    assert found.dtype == torch.int64
    for i, a in enumerate(times):
        for j, b in enumerate(times):
            exact = math.log(max(1.0, abs(a - b) / unit)) / divisor
            if exact == 0.0 or abs(exact - round(exact)) > 1e-4:  # float32 may round what is nearly a whole number
                assert found[i, j].item() == min(math.floor(exact), buckets - 1)


def test_default_buckets_hold_any_time() -> None:
    bias = RelativeTime(1)
    days = torch.tensor([0, 1, 60, 86400, 86400 * 365 * 100, 2**62])
    found = bias.bucket(Coordinates(torch.tensor(0), torch.tensor(0)), Coordinates(days, days))
    assert found.tolist() == [0, 0, 13, 37, 72, 127]


def test_buckets_that_reach_beyond_all_numbers() -> None:
    bias = RelativeTime(1, buckets=10**6)
    far = torch.tensor([1e30, 1e300, math.inf], dtype=torch.float64)
    found = bias.bucket(Coordinates(torch.tensor(0), torch.zeros((), dtype=torch.float64)), Coordinates(far, far))
    assert found.tolist() == [229, 292, 292]


def test_asks_the_layout_for_times() -> None:
    place = coordinates(Layout(torch.tensor([3])))
    with pytest.raises(ValueError, match=r"position relative_time needs every token's time: make .* with time=\[T\]"):
        RelativeTime(2)(place.as_queries(), place.as_keys())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"buckets": 0}, "position relative_time: buckets=0 must be at least 1"),
        ({"unit": 0.0}, "position relative_time: unit=0.0 must be above 0"),
        ({"divisor": -1.0}, "position relative_time: divisor=-1.0 must be above 0"),
        ({"divisor": math.nan}, "position relative_time: divisor=nan must be above 0"),
    ],
)
def test_refuses_bad_options(options: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RelativeTime(2, **options)  # type: ignore[arg-type]
