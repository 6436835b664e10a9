"""The best items against a sort of all scores, on one rank and on two."""

import math
from functools import partial
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.pipelines.metrics.ranks import DIM, ROWS, best_of_part, case, jagged, real_case
from tests.processes import run_ranks

from saccade.pipelines.collective import Collective
from saccade.pipelines.metrics.top_k import NO_ITEM, top_k
from saccade.pipelines.shard import TableShard

ALONE = Collective()


def whole(table: torch.Tensor) -> list[TableShard]:
    return [TableShard("items", (0, table.shape[0]), (0, table.shape[1]), table, {})]


def brute_force(query: torch.Tensor, table: torch.Tensor, k: int, left_out: set[int]) -> tuple[list[int], list[float]]:
    """By a sort of all items: by score, then by id."""
    scores = (table.double() @ query.double()).float().tolist()
    items = sorted(set(range(len(table))) - left_out, key=lambda item: (-scores[item], item))[:k]
    rest = k - len(items)
    return items + [NO_ITEM] * rest, [scores[item] for item in items] + [-math.inf] * rest


@given(st.integers(0, 10_000), st.integers(0, 12), st.integers(1, 45), st.integers(0, 2), st.integers(0, ROWS))
def test_equals_a_sort(seed: int, queries: int, k: int, padding_rows: int, split: int) -> None:
    found, _, table, seen = case(seed, queries)
    expected = [brute_force(q, table, k, {*s, *range(padding_rows)}) for q, s in zip(found, seen, strict=True)]
    parts = [TableShard("items", r, (0, DIM), table[slice(*r)], {}) for r in ((0, split), (split, ROWS))]
    for shards in (whole(table), parts, parts[::-1]):
        items, scores = top_k(found, k, jagged(seen), shards, ROWS, ALONE, padding_rows=padding_rows)
        assert items.tolist() == [items for items, _ in expected]
        assert scores.tolist() == [scores for _, scores in expected]


def test_more_queries_and_rows_than_fit_one_block() -> None:
    rng = torch.Generator().manual_seed(0)
    found, table = torch.randint(-3, 4, (150, 4), generator=rng), torch.randint(-3, 4, (5000, 4), generator=rng)
    allowed = torch.rand(5000, generator=rng) < 0.7
    seen = jagged([[index, 4000 + index] for index in range(150)])
    items, _ = top_k(found.float(), 20, seen, whole(table.float()), 5000, ALONE, padding_rows=1, allowed=allowed)
    refused = {0, *(~allowed).nonzero().squeeze(1).tolist()}
    for index in range(150):
        left_out = refused | {index, 4000 + index}
        assert items[index].tolist() == brute_force(found[index], table, 20, left_out)[0]


def test_what_is_no_number_is_never_chosen() -> None:
    table = torch.tensor([[1.0], [math.nan], [3.0], [-math.inf], [math.inf]])
    items, scores = top_k(torch.ones(1, 1), 4, jagged([[]]), whole(table), 5, ALONE)
    assert items.tolist() == [[4, 2, 0, NO_ITEM]]
    assert scores.tolist() == [[math.inf, 3.0, 1.0, -math.inf]]


@pytest.mark.slow
def test_two_ranks_choose_what_one_does(tmp_path: Path) -> None:
    """By rows, by columns, and with a rank that holds nothing; one with fewer queries, and one with none."""
    cuts = [{0: (0, 7), 1: (7, 11)}, {0: (0, 0), 1: (0, 11)}]
    cases = [
        (cut, seed, k, mine, real)
        for cut in ("row", "column", "table")
        for seed, k in ((0, 5), (1, 40))
        for mine in cuts
        for real in (False, True)
    ]
    results = run_ranks(2, [partial(best_of_part, *arguments) for arguments in cases], tmp_path / "ranks")
    refused = set(range(0, ROWS, 5))
    for (_, seed, k, _, real), ((left, left_scores), (right, right_scores)) in zip(cases, results, strict=True):
        found, _, table, seen = case(seed, 11)
        if real:
            found, table = real_case(seed, 11)
        expected = [brute_force(q, table, k, {*s} | refused) for q, s in zip(found, seen, strict=True)]
        assert left + right == [items for items, _ in expected]
        assert left_scores + right_scores == [scores for _, scores in expected]
