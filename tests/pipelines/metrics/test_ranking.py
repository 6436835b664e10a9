import math
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score
from tests.pipelines.metrics.ranks import DIM, ROWS, brute_force, case, jagged, rank_part
from tests.processes import run_ranks

from saccade.models.jagged import Jagged
from saccade.pipelines.collective import Collective
from saccade.pipelines.metrics.ranking import RankMetrics, rank_relevant, rank_targets
from saccade.pipelines.parquet.schema import Column
from saccade.pipelines.parquet.source import Source
from saccade.pipelines.shard import TableShard

ALONE = Collective()


def whole(table: torch.Tensor) -> list[TableShard]:
    return [TableShard("items", (0, table.shape[0]), (0, table.shape[1]), table, {})]


@given(st.integers(0, 10_000), st.integers(0, 12), st.integers(0, 2), st.integers(0, ROWS))
def test_ranks_equal_brute_force(seed: int, queries: int, padding_rows: int, split: int) -> None:
    found, targets, table, seen = case(seed, queries)
    targets = targets.clamp(min=padding_rows)
    expected = [brute_force(q, int(t), table, s, padding_rows) for q, t, s in zip(found, targets, seen, strict=True)]
    parts = [TableShard("items", r, (0, DIM), table[slice(*r)], {}) for r in ((0, split), (split, ROWS))]
    for shards in (whole(table), parts):
        ranks = rank_targets(found, targets, jagged(seen), shards, ROWS, ALONE, padding_rows=padding_rows)
        assert ranks.tolist() == expected


@pytest.mark.slow
def test_two_ranks_equal_brute_force(tmp_path: Path) -> None:
    """By rows, by columns, and with a rank that holds nothing; one with fewer queries, and one with none."""
    cuts = [{0: (0, 7), 1: (7, 11)}, {0: (0, 11), 1: (11, 11)}, {0: (0, 0), 1: (0, 11)}]
    cases = [(cut, seed, mine) for cut in ("row", "column", "table") for seed in (0, 1) for mine in cuts]
    results = run_ranks(2, [partial(rank_part, *arguments) for arguments in cases], tmp_path / "ranks")
    for (_, seed, _), ((left, metrics), (right, others)) in zip(cases, results, strict=True):
        found, targets, table, seen = case(seed, 11)
        expected = [brute_force(q, int(t), table, s, 1) for q, t, s in zip(found, targets, seen, strict=True)]
        assert left + right == expected
        assert metrics == others
        assert metrics["mrr"] == pytest.approx(sum(1 / rank for rank in expected) / 11)


@given(st.integers(0, 10_000), st.integers(0, 9), st.integers(0, 2), st.booleans())
def test_several_relevant_items_rank_as_by_a_sort(seed: int, queries: int, padding_rows: int, numbers: bool) -> None:
    """Relevant items stand where a sort would put them that has others first among equal scores."""
    found, _, table, seen = case(seed, queries)
    if not numbers and queries:
        found[0, 0], table[5, 0] = math.nan, math.inf
    rng = np.random.default_rng(seed)
    relevant = [rng.permutation(np.arange(2, ROWS))[: rng.integers(0, 6)].tolist() for _ in range(queries)]
    expected = []
    for query, mine, others in zip(found, relevant, seen, strict=True):
        items = sorted(set(range(padding_rows, ROWS)) - set(others) | set(mine))
        scores = (table @ query).nan_to_num(nan=math.nan)
        own = {item: -math.inf if scores[item].isnan() else float(scores[item]) for item in mine}
        rivals = [math.inf if scores[item].isnan() else float(scores[item]) for item in items if item not in own]
        above = sorted(sum(score >= own[item] for score in rivals) for item in mine)
        expected += [count + place + 1 for place, count in enumerate(above)]
    ranks = rank_relevant(found, jagged(relevant), jagged(seen), whole(table), ROWS, ALONE, padding_rows=padding_rows)
    assert ranks.tolist() == expected


def test_more_queries_and_rows_than_fit_one_block() -> None:
    rng = torch.Generator().manual_seed(0)
    found, table = torch.randn(300, 4, generator=rng), torch.randn(5000, 4, generator=rng)
    targets = torch.randint(1, 5000, (300,), generator=rng)
    seen = jagged([[int(target), 1, 2, 2] for target in targets])
    ranks = rank_targets(found, targets, seen, whole(table), 5000, ALONE, padding_rows=1)
    scores = (found.double() @ table.double().T).float()
    own = scores[torch.arange(300), targets]
    above = (scores >= own[:, None])[:, 3:].sum(1) - (targets >= 3).long()
    assert ranks.tolist() == (above + 1).tolist()


def test_rows_that_are_equal_tie_wherever_they_stand() -> None:
    table = torch.randn(1, 64).repeat(4999, 1)
    ranks = rank_targets(torch.randn(130, 64), torch.arange(130), jagged([[]] * 130), whole(table), 4999, ALONE)
    assert set(ranks.tolist()) == {4999}


def test_ties_count_against_the_model() -> None:
    """A model that scores all items alike must not look good."""
    table = torch.ones(10, 2)
    ranks = rank_targets(torch.ones(1, 2), torch.tensor([4]), jagged([[1, 2]]), whole(table), 10, ALONE, padding_rows=1)
    assert ranks.tolist() == [7]


def test_scores_that_are_no_numbers_rank_last() -> None:
    queries = torch.tensor([[math.nan, 0.0], [1.0, 0.0]])
    ranks = rank_targets(
        queries, torch.tensor([4, 4]), jagged([[], []]), whole(torch.eye(10, 2)), 10, ALONE, padding_rows=1
    )
    assert ranks.tolist() == [9, 9]


@given(st.lists(st.integers(1, 30), min_size=1, max_size=20), st.integers(2, 30))
def test_metrics_equal_sklearn(ranks: list[int], k: int) -> None:
    metrics = RankMetrics([k], 30)
    for part in (ranks[:3], ranks[3:]):
        metrics.update(torch.tensor(part, dtype=torch.int64))
    relevance, scores = np.zeros((len(ranks), 30)), np.tile(-np.arange(30.0), (len(ranks), 1))
    relevance[np.arange(len(ranks)), np.array(ranks) - 1] = 1
    expected = {
        f"hr@{k}": np.mean([rank <= k for rank in ranks]),
        f"ndcg@{k}": ndcg_score(relevance, scores, k=k),
        "mrr": np.mean([1 / rank for rank in ranks]),
    }
    assert metrics.result(ALONE) == pytest.approx(expected)
    assert metrics.result(ALONE) == pytest.approx(expected)


def test_no_example_gives_no_number() -> None:
    assert all(math.isnan(value) for value in RankMetrics([10], 5).result(ALONE).values())


@pytest.mark.slow
def test_popularity_on_movielens(data_folder: Path) -> None:
    """The published protocol's most-popular baseline: a table of one column with each item's training count."""
    path = data_folder / "ml1m_sasrec"
    if not path.is_dir():
        pytest.skip(f"no {path}")
    source = Source.open(str(path), "train", [Column("history", "integers")])
    history = source.read(0, source.rows).columns["history"]
    assert isinstance(history, Jagged)
    lengths, starts = history.layout.lengths, history.layout.host_offsets[:-1]
    rows = int(history.values.max()) + 1
    training = history.slice(starts, lengths - 2)
    table = torch.bincount(training.values, minlength=rows).float()[:, None]
    metrics = RankMetrics([10], rows)
    for part in torch.arange(len(history)).split(500):
        seen = history.slice(starts[part], lengths[part] - 1)
        target = history.values[starts[part] + lengths[part] - 1]
        metrics.update(rank_targets(torch.ones(len(part), 1), target, seen, whole(table), rows, ALONE, padding_rows=1))
    found = metrics.result(ALONE)
    assert (round(found["hr@10"], 4), round(found["ndcg@10"], 4)) == (0.0369, 0.0180)
