"""What evaluation makes of next-item outputs."""

from typing import Any

import pytest
import torch
from tests.pipelines.metrics.ranks import jagged

from saccade.models.jagged import Layout
from saccade.pipelines.batch import Batch
from saccade.pipelines.collective import Collective
from saccade.pipelines.shard import TableShard
from saccade.pipelines.tasks.ranked_evaluation import Measures, RankedEvaluation, popularity_class

ITEMS = 300
COUNTS = torch.arange(ITEMS).flip(0)  # item 1 is the most popular


def batch(seen: list[list[int]], targets: list[int] | None = None, relevant: list[list[int]] | None = None) -> Batch:
    about: dict[str, Any] = {"seen": jagged(seen), "layout": Layout(torch.ones(len(seen), dtype=torch.int64))}
    if targets is not None:
        about["target"] = torch.tensor(targets, dtype=torch.int64)
    if relevant is not None:
        about["relevant"] = jagged(relevant)
    return Batch({}, about, len(seen), len(seen), torch.arange(len(seen)) + 40)


def evaluated(measures: Measures, one: Batch, table: torch.Tensor | None = None) -> RankedEvaluation:
    """Scores equal the item's id, so that high ids are recommended, and those are the rare ones."""
    table = torch.arange(ITEMS).float()[:, None] if table is None else table
    shards = [TableShard("items", (0, ITEMS), (0, 1), table, {})]
    evaluation = RankedEvaluation(measures, ITEMS, Collective(), lambda name: shards)
    evaluation.update(torch.ones(len(one.rows), 1), one)
    return evaluation


def test_several_relevant_items_each_count_once() -> None:
    measures = Measures(ks=[2, 4], at_k=["recall", "hr"])
    found = evaluated(measures, batch([[1], [298]], relevant=[[299, 296, 299], [297]])).result()
    expected = {"recall@2": (0.5 + 1) / 2, "hr@2": 1.0, "recall@4": 1.0, "hr@4": 1.0, "mrr": (1 + 1 / 2) / 2}
    assert found == expected


def test_slices_by_length_and_popularity() -> None:
    measures = Measures(ks=[1], at_k=["hr"], sliced=["history_length", "popularity"], counts=COUNTS)
    one = batch([[1, 2], list(range(1, 31)), [5]], targets=[299, 1, 298])
    slices = evaluated(measures, one).report()["slices"]
    assert {name: found["rows"] for name, found in slices["history_length"].items()} == {"1-4": 2, "20-49": 1}
    assert {name: found["rows"] for name, found in slices["popularity"].items()} == {"head": 1, "tail": 2}
    assert slices["popularity"]["tail"]["hr@1"] == 0.5


def test_popularity_classes_hold_a_third_of_the_events_each() -> None:
    classes = popularity_class(COUNTS)
    held = [int(COUNTS[classes == index].sum()) / int(COUNTS.sum()) for index in range(3)]
    assert held == pytest.approx([1 / 3] * 3, abs=0.01)
    assert popularity_class(torch.tensor([0, 1, 1, 1, 0])).tolist() == [2, 0, 1, 2, 2]
    assert popularity_class(torch.zeros(3, dtype=torch.int64)).tolist() == [2, 2, 2]


def test_lists_leave_out_what_was_seen() -> None:
    measures = Measures(ks=[2], of_lists=["coverage", "popularity"], counts=COUNTS)
    found = evaluated(measures, batch([[299], [7]], targets=[3, 4])).result()
    assert found["coverage@2"] == 3 / (ITEMS - 1)
    assert found["arp@2"] == (1 + 2 + 0 + 1) / 4  # items 298 and 297, then 299 and 298


@pytest.mark.parametrize("protocol", ["sampled_uniform", "sampled_popularity"])
def test_a_sample_is_measured_beside_the_full_ranking_and_says_so(protocol: Any) -> None:
    measures = Measures(ks=[10], protocol=protocol, negatives=100, counts=COUNTS)
    one = batch([[5], [6, 7]], targets=[200, 290])
    found = evaluated(measures, one).result()
    suffix = "_sampled100" if protocol == "sampled_uniform" else "_sampled100_popular"
    assert set(found) == {f"{name}{end}" for name in ("hr@10", "ndcg@10", "mrr") for end in ("", suffix)}
    assert found["mrr"] == (1 / 100 + 1 / 10) / 2
    assert (
        found[f"mrr{suffix}"] > 2 * found["mrr"]
    )  # 1 of 3 items is left, fewer of the unpopular ones above the targets
    assert evaluated(measures, one).result() == found


def test_without_rows_nothing_is_measured() -> None:
    measures = Measures(sliced=["history_length"], of_lists=["coverage"], protocol="sampled_uniform", counts=COUNTS)
    evaluation = evaluated(measures, batch([], targets=[]))
    assert all(value != value for value in evaluation.result().values())
