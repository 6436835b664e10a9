"""Models that are counted, against their formulas pair by pair."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from saccade.models.jagged import Jagged, Layout
from saccade.models.recommendation import item_knn
from saccade.models.recommendation.item_knn import ItemKNN
from saccade.models.recommendation.popularity import Popularity

ITEMS = 9
some_histories = st.lists(st.lists(st.integers(0, ITEMS - 1), max_size=7), min_size=1, max_size=8)


def jagged(histories: list[list[int]]) -> Jagged:
    values = torch.tensor([item for history in histories for item in history], dtype=torch.int64)
    return Jagged(values, Layout(torch.tensor([len(history) for history in histories])))


def similarity(histories: list[list[int]], i: int, j: int, shrinkage: float) -> float:
    if i == j or 0 in (i, j):
        return 0.0
    first, second = ({n for n, history in enumerate(histories) if item in history} for item in (i, j))
    return len(first & second) / max(math.sqrt(len(first) * len(second)) + shrinkage, 1e-12)


@settings(max_examples=30)
@given(some_histories, some_histories, st.sampled_from([0.0, 2.5]), st.integers(1, 4), st.sampled_from([1, 1 << 24]))
def test_item_knn_is_its_formula(
    training: list[list[int]], asked: list[list[int]], shrinkage: float, last: int, cells: int
) -> None:
    kept, item_knn.CELLS = item_knn.CELLS, cells  # whether all items are counted at once or one by one
    try:
        model = ItemKNN(ITEMS, ITEMS, shrinkage, last)
        model.fit(jagged(training))
    finally:
        item_knn.CELLS = kept
    scores = model(jagged(asked))
    assert scores.shape == (len(asked), ITEMS)
    for history, found in zip(asked, scores.tolist(), strict=True):
        expected = [sum(similarity(training, i, j, shrinkage) for i in history[-last:]) for j in range(ITEMS)]
        assert found == pytest.approx(expected, rel=1e-5)


def test_only_the_most_similar_neighbours_are_kept() -> None:
    training = [[1, 2], [1, 2], [1, 3], [4, 5]]
    model = ItemKNN(ITEMS, 1, 0.0, 5)
    model.fit(jagged(training))
    (scores,) = model(jagged([[1]])).tolist()
    assert scores[2] == pytest.approx(2 / math.sqrt(3 * 2))
    assert sum(scores) == scores[2]


def test_popularity_is_the_same_for_everybody() -> None:
    model = Popularity(4)
    model.fit(torch.tensor([0, 5, 2, 9]))
    assert model(jagged([[], [1, 2], [3]])).tolist() == [[0.0, 5.0, 2.0, 9.0]] * 3
