"""Ranking among sampled items."""

from functools import partial
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.pipelines.metrics.ranks import DIM, ROWS, case, held, jagged
from tests.processes import run_ranks

from saccade.pipelines.collective import Collective
from saccade.pipelines.metrics.sampled import Sample, rank_among
from saccade.pipelines.shard import TableShard


@given(st.integers(0, 99), st.integers(1, 40), st.sets(st.integers(1, 19)), st.booleans())
def test_items_are_different_and_none_is_left_out(seed: int, count: int, left_out: set[int], weighted: bool) -> None:
    weights = torch.arange(20) if weighted else None
    items = torch.tensor(sorted(left_out), dtype=torch.int64)
    drawn = Sample(count, 20, seed, weights).draw([5], [items]).values.tolist()
    assert len(drawn) == len(set(drawn)) == min(count, 19 - len(left_out))
    assert set(drawn) <= set(range(1, 20)) - left_out


def test_a_row_draws_the_same_in_any_company() -> None:
    sample, nothing = Sample(7, 500, 3), torch.zeros(0, dtype=torch.int64)
    together = sample.draw([4, 9, 2], [nothing] * 3).unpack()
    assert sample.draw([9], [nothing]).values.tolist() == together[1].tolist()
    assert together[0].tolist() != together[1].tolist()
    assert Sample(7, 500, 4).draw([9], [nothing]).values.tolist() != together[1].tolist()


def test_popular_items_are_drawn_more_often() -> None:
    weights = torch.ones(101)
    weights[1:11] = 9
    drawn = Sample(5, 101, 0, weights).draw(range(400), [torch.zeros(0, dtype=torch.int64)] * 400).values
    assert int((drawn <= 10).sum()) == pytest.approx(2000 * 0.5, rel=0.15)  # without replacement, somewhat fewer
    assert len(drawn) == 2000


def expected_ranks(seed: int) -> tuple[list[list[int]], list[list[int]], list[int]]:
    found, _, table, _ = case(seed, 11)
    rng = torch.Generator().manual_seed(seed)
    mixed = [torch.randperm(ROWS - 1, generator=rng)[:9] + 1 for _ in range(11)]
    relevant, others = [m[: i % 4].tolist() for i, m in enumerate(mixed)], [m[4:].tolist() for m in mixed]
    ranks = []
    for query, mine, rivals in zip(found, relevant, others, strict=True):
        scores = (table @ query).tolist()
        above = [sum(scores[rival] >= scores[item] for rival in rivals) for item in mine]
        order = sorted(range(len(mine)), key=lambda place: above[place])
        ranks += [above[place] + order.index(place) + 1 for place in range(len(mine))]
    return relevant, others, ranks


def rank_part(cut: str, seed: int, mine: dict[int, tuple[int, int]]) -> list[int]:
    collective = Collective()
    begin, end = mine[collective.rank]
    found, _, table, _ = case(seed, 11)
    relevant, others, _ = expected_ranks(seed)
    parts = jagged(relevant[begin:end]), jagged(others[begin:end])
    return rank_among(found[begin:end], *parts, held(cut, table, collective.rank), ROWS, collective).tolist()


@given(st.integers(0, 999))
def test_ranks_equal_a_count(seed: int) -> None:
    found, _, table, _ = case(seed, 11)
    relevant, others, expected = expected_ranks(seed)
    shards = [TableShard("items", (0, ROWS), (0, DIM), table, {})]
    assert rank_among(found, jagged(relevant), jagged(others), shards, ROWS, Collective()).tolist() == expected


@pytest.mark.slow
def test_two_ranks_rank_as_one_does(tmp_path: Path) -> None:
    cases = [(cut, 3, mine) for cut in ("row", "column") for mine in ({0: (0, 6), 1: (6, 11)}, {0: (0, 0), 1: (0, 11)})]
    for left, right in run_ranks(2, [partial(rank_part, *arguments) for arguments in cases], tmp_path / "ranks"):
        assert left + right == expected_ranks(3)[2]
