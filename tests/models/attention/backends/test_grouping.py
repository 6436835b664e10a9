"""Groups: each token once, little padding, and no dearer than any other cut of the sorted examples."""

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from saccade.models.attention.backends.grouped import EXPLICIT, FUSED
from saccade.models.attention.backends.grouping import Cost, Grouping, grouping
from saccade.models.jagged import Layout

CHEAP_CALLS = Cost(call=1.0, place=0.01, pair=0.001, most_places=1 << 20, most_pairs=1 << 20)
lengths = st.lists(st.integers(0, 150), max_size=40)


def layout(sizes: list[int]) -> Layout:
    return Layout(torch.tensor(sizes, dtype=torch.int64))


def price(plan: Grouping, cost: Cost, width: int) -> float:
    return sum(cost(len(g.examples), g.queries, g.keys, width) for g in plan.groups)


@pytest.mark.parametrize("cost", [FUSED, EXPLICIT, CHEAP_CALLS])
@given(lengths)
def test_each_token_has_one_place_in_its_examples_group(cost: Cost, sizes: list[int]) -> None:
    tokens = layout(sizes)
    plan = grouping(tokens, tokens, cost, 64)
    assert torch.equal(plan.query.index[plan.query.back], torch.arange(tokens.total))
    assert len(plan.query.index) - len(plan.query.padded) == tokens.total
    assert sorted(e for g in plan.groups for e in g.examples.tolist()) == [i for i, n in enumerate(sizes) if n]
    begin = 0
    for group in plan.groups:
        places = plan.query.index[begin : begin + len(group.examples) * group.queries].view(-1, group.queries)
        assert torch.equal(tokens.example[places], group.examples[:, None].expand_as(places))
        begin += places.numel()


@given(st.lists(st.integers(1, 60), min_size=1, max_size=8))
def test_no_other_cut_costs_less(sizes: list[int]) -> None:
    tokens = layout(sizes)
    plan = grouping(tokens, tokens, CHEAP_CALLS, 16)
    ordered = sorted(sizes, reverse=True)
    cuts = itertools.chain.from_iterable(itertools.combinations(range(1, len(sizes)), n) for n in range(len(sizes)))
    spans = (itertools.pairwise([0, *cut, len(sizes)]) for cut in cuts)
    costs = (sum(CHEAP_CALLS(j - i, ordered[i], ordered[i], 16) for i, j in cut) for cut in spans)
    assert price(plan, CHEAP_CALLS, 16) == pytest.approx(min(costs))


@pytest.mark.parametrize("width", [128, 1024])
@pytest.mark.parametrize("longest", [40, 200, 2000])
def test_less_than_a_tenth_of_a_batch_is_padding(width: int, longest: int) -> None:
    rng = torch.Generator().manual_seed(longest)
    sizes = (torch.rand(48_000 // longest, generator=rng).pow(3) * longest).long() + 1  # 12,000 tokens; most are short
    tokens = Layout(sizes)
    plan = grouping(tokens, tokens, FUSED, width)
    assert len(plan.query.padded) < 0.1 * len(plan.query.index)


def test_long_examples_go_one_by_one_and_nothing_moves() -> None:
    tokens = layout([900, 1500, 400])
    plan = grouping(tokens, tokens, FUSED, 128)
    assert [(g.examples.tolist(), g.queries) for g in plan.groups] == [([0], 900), ([1], 1500), ([2], 400)]
    assert not plan.query.moved


def test_a_group_that_would_not_fit_the_cache_is_split() -> None:
    tokens = layout([100] * 50)
    cost = Cost(call=1e9, place=0.0, pair=0.0, most_places=1000, most_pairs=1 << 20)
    assert [len(g.examples) for g in grouping(tokens, tokens, cost, 8).groups] == [10] * 5
    cost = Cost(call=1e9, place=0.0, pair=0.0, most_places=1 << 20, most_pairs=50_000)
    assert [len(g.examples) for g in grouping(tokens, tokens, cost, 8).groups] == [5] * 10


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 30)), max_size=12))
def test_queries_and_keys_of_other_lengths(sizes: list[tuple[int, int]]) -> None:
    query, key = layout([q for q, _ in sizes]), layout([k for _, k in sizes])
    plan = grouping(query, key, FUSED, 32)
    for places, tokens in ((plan.query, query), (plan.key, key)):
        assert torch.equal(places.index[places.back], torch.arange(tokens.total))
    for group in plan.groups:
        assert group.queries == int(query.lengths[group.examples].max())
        assert group.keys == int(key.lengths[group.examples].max())
