"""Relative positions against T5's bucket function, written out."""

import math

import pytest
import torch

from saccade.models.attention.coordinates import Coordinates
from saccade.models.attention.positions import RelativePosition


def bucket_of_t5(relative_position: int, bidirectional: bool, num_buckets: int, max_distance: int) -> int:
    """Of memory position minus query position: half the buckets exact, half logarithmic up to ``max_distance``."""
    offset = 0
    n = -relative_position
    if bidirectional:
        num_buckets //= 2
        offset = num_buckets if n < 0 else 0
        n = abs(n)
    else:
        n = max(n, 0)
    max_exact = num_buckets // 2
    if n < max_exact:
        return offset + n
    logarithm = torch.log(torch.tensor(n, dtype=torch.float32) / max_exact) / math.log(max_distance / max_exact)
    large = max_exact + int((logarithm * (num_buckets - max_exact)).to(torch.int64))
    return offset + min(large, num_buckets - 1)


@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize(("buckets", "max_distance"), [(32, 128), (64, 256), (8, 20), (32, 17), (10, 300), (4, 2)])
def test_is_t5s(buckets: int, max_distance: int, bidirectional: bool) -> None:
    bias = RelativePosition(1, buckets, max_distance + (buckets if max_distance < buckets else 0), bidirectional)
    relative = torch.arange(-300, 301)
    found = bias.bucket(Coordinates(torch.tensor(1000)), Coordinates(1000 + relative))
    expected = [bucket_of_t5(r, bidirectional, buckets, bias.max_distance) for r in relative.tolist()]
    assert found.tolist() == expected


def test_boundaries_of_the_paper() -> None:
    bias = RelativePosition(1)
    bucket = bias.bucket(
        Coordinates(torch.tensor(0)), Coordinates(-torch.tensor([0, 1, 7, 8, 15, 16, 31, 32, 64, 128]))
    )
    assert bucket.tolist() == [0, 1, 7, 8, 9, 10, 11, 12, 14, 15]
    assert bias.bucket(Coordinates(torch.tensor(0)), Coordinates(torch.tensor([1, 8, 10**9]))).tolist() == [17, 24, 31]


def test_whole_powers_are_not_rounded_down() -> None:
    bias = RelativePosition(1, buckets=20, max_distance=320, bidirectional=False)  # two buckets each time it doubles
    bucket = bias.bucket(Coordinates(torch.tensor(320)), Coordinates(320 - torch.tensor([10, 20, 40, 80, 160, 320])))
    assert bucket.tolist() == [10, 12, 14, 16, 18, 19]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"buckets": 31},
            "position relative: buckets=31 must be an even number of at least 4, half for each direction",
        ),
        ({"buckets": 2}, "position relative: buckets=2 must be an even number of at least 4"),
        ({"buckets": 1, "bidirectional": False}, "position relative: buckets=1 must be at least 2"),
        ({"max_distance": 8}, "position relative: max_distance=8 must be more than 8, the distances that have"),
        ({"max_distance": 16, "bidirectional": False}, "position relative: max_distance=16 must be more than 16"),
    ],
)
def test_refuses_bad_options(options: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RelativePosition(2, **options)
