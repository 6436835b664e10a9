"""Metrics of ranks against scikit-learn and their definitions."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, ndcg_score

from saccade.pipelines.collective import Collective
from saccade.pipelines.metrics.ranked import AtK, RankedMetrics

ALONE = Collective()
ALL: tuple[AtK, ...] = ("hr", "ndcg", "recall", "precision", "map", "mrr")
ITEMS = 30

some_users = st.lists(st.sets(st.integers(1, ITEMS), min_size=1, max_size=6).map(sorted), min_size=1, max_size=12)


def flat(users: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Ranks, and the users (rows) that they belong to."""
    rows = [row for row, ranks in enumerate(users) for _ in ranks]
    return torch.tensor([rank for ranks in users for rank in ranks]), torch.tensor(rows)


def measured(users: list[list[int]], k: int) -> dict[str, float]:
    metrics = RankedMetrics([k], ALONE, at_k=ALL)
    metrics.update(*flat(users))
    return metrics.result()


@given(some_users, st.integers(2, ITEMS))
def test_equal_their_definitions(users: list[list[int]], k: int) -> None:
    expected: dict[str, list[float]] = {}
    for ranks in users:
        top = [rank for rank in ranks if rank <= k]
        relevance = np.zeros((1, ITEMS))
        relevance[0, np.array(ranks) - 1] = 1
        values = {
            f"hr@{k}": float(bool(top)),
            f"ndcg@{k}": ndcg_score(relevance, -np.arange(ITEMS)[None], k=k),
            f"recall@{k}": len(top) / len(ranks),
            f"precision@{k}": len(top) / k,
            f"map@{k}": sum(sum(r <= rank for r in ranks) / rank for rank in top) / min(k, len(ranks)),
            f"mrr@{k}": 1 / top[0] if top else 0.0,
            "mrr": 1 / ranks[0],
        }
        for name, value in values.items():
            expected.setdefault(name, []).append(value)
    assert measured(users, k) == pytest.approx({name: np.mean(values) for name, values in expected.items()})


@given(some_users)
def test_map_without_a_cut_off_is_average_precision(users: list[list[int]]) -> None:
    precisions = []
    for ranks in users:
        relevance = np.zeros(ITEMS)
        relevance[np.array(ranks) - 1] = 1
        precisions.append(average_precision_score(relevance, -np.arange(ITEMS)))
    assert measured(users, ITEMS)[f"map@{ITEMS}"] == pytest.approx(np.mean(precisions))


@given(some_users, st.randoms(use_true_random=False), st.lists(st.integers(0, 72), max_size=3))
def test_the_order_leaves_no_trace(users: list[list[int]], random: object, cuts: list[int]) -> None:
    ranks, rows = flat(users)
    order = torch.randperm(len(ranks), generator=torch.Generator().manual_seed(len(ranks) + sum(cuts)))
    whole, parts = (RankedMetrics([3, 10], ALONE, at_k=ALL, resamples=5) for _ in range(2))
    whole.update(ranks, rows)
    for begin, end in pairwise([0, *sorted(cuts), len(ranks)]):
        parts.update(ranks[order[begin:end]], rows[order[begin:end]])
    assert parts.result() == whole.result()
    assert parts.report() == whole.report()


def test_slices_are_of_the_relevant_items_in_them() -> None:
    metrics = RankedMetrics([2], ALONE, at_k=["hr", "recall"], slices={"popularity": ["head", "torso", "tail"]})
    ranks, rows = flat([[1, 3], [2, 7], [5]])
    metrics.update(ranks, rows, {"popularity": torch.tensor([0, 1, 1, 1, -1])})
    assert metrics.report() == {
        "slices": {
            "popularity": {
                "head": {"rows": 1, "hr@2": 1.0, "recall@2": 1.0, "mrr": 1.0},
                "torso": {"rows": 2, "hr@2": 0.5, "recall@2": 0.25, "mrr": (1 / 3 + 1 / 2) / 2},
            }
        }
    }


def test_intervals_are_those_of_a_binomial() -> None:
    """400 users, a quarter of them hit: the mean's standard deviation is known."""
    metrics = RankedMetrics([10], ALONE, at_k=["hr"], resamples=2000, seed=1)
    metrics.update(torch.tensor([1, 50, 60, 70] * 100), torch.arange(400))
    low, high = metrics.report()["ci"]["hr@10"]
    deviation = math.sqrt(0.25 * 0.75 / 400)
    assert low == pytest.approx(0.25 - 1.96 * deviation, abs=0.006)
    assert high == pytest.approx(0.25 + 1.96 * deviation, abs=0.006)


def test_no_user_gives_no_number() -> None:
    metrics = RankedMetrics([10], ALONE, slices={"popularity": ["head"]}, resamples=3)
    assert all(math.isnan(value) for value in metrics.result().values())
    assert metrics.report() == {"slices": {"popularity": {}}, "ci": {}}
