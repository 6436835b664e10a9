"""Metrics of clicks against scikit-learn, by hand, and over rows that were dealt to ranks."""

import math
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, log_loss, roc_auc_score
from tests.pipelines.metrics.binary_rows import COUNT, clicks, measured, measured_as_rank
from tests.processes import run_ranks

from saccade.pipelines.collective import Collective
from saccade.pipelines.metrics.binary import BINS, BinaryMetrics

WHOLE = [list(range(COUNT))]


def measure(logits: list[float], labels: list[int], groups: list[int] | None = None) -> dict[str, float]:
    metrics = BinaryMetrics(Collective(), grouped=groups is not None)
    metrics.update(
        torch.tensor(logits, dtype=torch.float64),
        torch.tensor(labels, dtype=torch.int64),
        torch.arange(len(logits)),
        groups=None if groups is None else torch.tensor(groups, dtype=torch.int64),
    )
    return metrics.result()


clicks_of_users = st.lists(
    st.tuples(st.integers(-4, 4).map(float), st.integers(0, 1), st.integers(-2, 2)), min_size=1, max_size=40
)


@given(clicks_of_users)
def test_equal_scikit_learn(rows: list[tuple[float, int, int]]) -> None:
    logits, labels, groups = (np.array(column) for column in zip(*rows, strict=True))
    found = measure(logits.tolist(), labels.tolist(), groups.tolist())
    probability = 1 / (1 + np.exp(-logits))
    assert found["log_loss"] == pytest.approx(log_loss(labels, probability, labels=[0, 1]))
    assert found["accuracy"] == pytest.approx(accuracy_score(labels, logits > 0))
    areas = []
    for group in set(groups.tolist()):
        mine = groups == group
        if len(set(labels[mine].tolist())) == 2:
            areas.append((mine.sum(), roc_auc_score(labels[mine], logits[mine])))
    expected = sum(n * area for n, area in areas) / sum(n for n, _ in areas) if areas else math.nan
    assert found["gauc"] == pytest.approx(expected, nan_ok=True)
    mean = labels.mean()
    if 0 < mean < 1:
        assert found["auc"] == pytest.approx(roc_auc_score(labels, logits))
        constant = log_loss(labels, np.full(len(labels), mean))
        assert found["ne"] == pytest.approx(found["log_loss"] / constant)
    else:
        assert math.isnan(found["auc"])
        assert math.isnan(found["ne"])


@given(clicks_of_users)
def test_calibration_equals_its_definition(rows: list[tuple[float, int, int]]) -> None:
    logits, labels, _ = (np.array(column) for column in zip(*rows, strict=True))
    found = measure(logits.tolist(), labels.tolist())
    probability = 1 / (1 + np.exp(-logits))
    error = 0.0
    for low, high in pairwise(np.linspace(0, 1, BINS + 1)):
        mine = (probability >= low) & (probability < high)
        if mine.any():
            error += mine.mean() * abs(probability[mine].mean() - labels[mine].mean())
    assert found["ece"] == pytest.approx(error)
    if labels.any():
        assert found["calibration"] == pytest.approx(probability.mean() / labels.mean())
    else:
        assert math.isnan(found["calibration"])


def test_ties_are_half_a_pair() -> None:
    assert measure([0.0, 0.0], [0, 1])["auc"] == 0.5
    assert measure([1.0, 1.0, 2.0], [0, 1, 0])["auc"] == 0.25


def test_logits_whose_probability_rounds_to_one_still_count() -> None:
    found = measure([50.0, 60.0, -800.0], [0, 1, 1])
    assert found["auc"] == 0.5
    assert found["log_loss"] == pytest.approx((50 + 0 + 800) / 3)


def test_a_perfect_guess_of_the_mean_has_the_entropy_one() -> None:
    found = measure([math.log(1 / 3)] * 4, [0, 1, 0, 0])
    assert (found["ne"], found["calibration"], found["ece"]) == pytest.approx((1, 1, 0))
    assert (found["auc"], found["accuracy"]) == (0.5, 0.75)


def test_groups_of_one_class_are_left_out() -> None:
    found = measure([1.0, 0.0, 5.0, 6.0, 0.0, 1.0, 2.0], [1, 0, 1, 1, 1, 0, 0], [7, 7, 8, 8, 9, 9, 9])
    assert found["gauc"] == pytest.approx((2 * 1 + 3 * 0) / 5)
    assert math.isnan(measure([1.0], [1], [0])["gauc"])


def test_what_is_no_number_gives_none() -> None:
    assert all(math.isnan(value) for value in measure([], [], []).values())
    assert all(math.isnan(value) for value in measure([0.0, math.nan], [0, 1], [1, 1]).values())
    assert not math.isnan(measure([-math.inf, math.inf], [0, 1])["log_loss"])


@given(order=st.permutations(range(COUNT)), cuts=st.lists(st.integers(0, COUNT), max_size=4))
def test_the_order_of_rows_and_batches_leaves_no_trace(order: list[int], cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), COUNT]
    assert str(measured([order[a:b] for a, b in pairwise(edges)])) == str(measured(WHOLE))


def test_slices_are_measured_by_themselves() -> None:
    logits, labels, groups, slices = clicks()
    found = measured(WHOLE)["slices"]["length"]
    for place, name in enumerate(["short", "long"]):
        mine = slices == place
        alone = measure(logits[mine].tolist(), labels[mine].tolist(), groups[mine].tolist())
        assert found[name].pop("rows") == int(mine.sum())
        assert found[name] == pytest.approx(alone)
    assert found["none"].pop("rows") == 0
    assert all(math.isnan(value) for value in found["none"].values())


def test_intervals_hold_the_value_and_are_over_groups() -> None:
    found = measured(WHOLE)
    for name, (low, high) in found["ci"].items():
        assert low <= high
        assert low <= found[name] <= high or name == "ece"  # which is biased upwards in a resample
    one_group = BinaryMetrics(Collective(), grouped=True, resamples=5)
    one_group.update(torch.tensor([0.0, 1.0]), torch.tensor([0, 1]), torch.arange(2), groups=torch.tensor([4, 4]))
    assert one_group.report()["ci"]["auc"] == [1.0, 1.0]  # nobody else could have been drawn


def test_groups_must_be_given() -> None:
    with pytest.raises(ValueError, match="need groups"):
        BinaryMetrics(Collective(), grouped=True).update(torch.zeros(1), torch.zeros(1), torch.zeros(1))


@pytest.mark.parametrize("world_size", [2, 3])
def test_any_number_of_ranks_measures_the_same(world_size: int, tmp_path: Path) -> None:
    order = torch.randperm(COUNT, generator=torch.Generator().manual_seed(world_size)).tolist()
    dealt: list[list[list[int]]] = [[[], order[rank::world_size]] for rank in range(world_size - 1)]
    dealt.append([order[world_size - 1 :: world_size][:4], order[world_size - 1 :: world_size][4:]])
    empty = [[[], []], WHOLE * 1, *([[]] * (world_size - 2))]
    calls = [partial(measured_as_rank, dealt), partial(measured_as_rank, empty)]
    expected = str(measured(WHOLE))
    for results in run_ranks(world_size, calls, tmp_path / "ranks"):
        assert [str(result) for result in results] == [expected] * world_size
