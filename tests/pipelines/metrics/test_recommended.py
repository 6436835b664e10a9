"""What lists of items are like, against a count by hand."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from saccade.pipelines.collective import Collective
from saccade.pipelines.metrics.recommended import RecommendedMetrics

COUNTS = torch.tensor([0, 8, 4, 2, 1, 1, 0])


def measured(lists: list[list[int]], histories: list[int], k: int = 2) -> dict[str, float]:
    metrics = RecommendedMetrics([k], ["coverage", "novelty", "popularity"], COUNTS, Collective())
    for items in lists:
        metrics.update(torch.tensor([items]), torch.tensor(histories, dtype=torch.int64))
    return metrics.result()


def test_equal_a_count_by_hand() -> None:
    found = measured([[1, 2, 6], [1, 6, 5]], [1, 4, 5])
    assert found == pytest.approx(
        {
            "coverage@2": 3 / 6,
            "novelty@2": (1 + 2 + 1 + 4) / 4,  # -log2 of 8/16, 4/16, 8/16 and, never met, 1/16
            "arp@2": (8 + 4 + 8 + 0) / 4,
            "lift@2": 5 / (10 / 3),
            "gini@2": (6 * 2 + 5 * 1 + 4 * 1) * 2 / (6 * 4) - 7 / 6,
        }
    )


@given(st.lists(st.permutations(range(1, 7)), min_size=1, max_size=9), st.integers(1, 6))
def test_gini_is_the_mean_difference(lists: list[list[int]], k: int) -> None:
    shown = [sum(items[:k].count(item) for items in lists) for item in range(1, 7)]
    differences = sum(abs(a - b) for a in shown for b in shown)
    assert measured(lists, [1], k)[f"gini@{k}"] == pytest.approx(differences / (2 * 36 * (sum(shown) / 6)))


def test_places_without_an_item_count_nothing() -> None:
    assert measured([[3, -1]], [3])["arp@2"] == 2.0
    assert measured([[3, -1]], [3])["lift@2"] == 1.0


def test_no_list_gives_no_number() -> None:
    assert all(math.isnan(value) for value in measured([], []).values())
