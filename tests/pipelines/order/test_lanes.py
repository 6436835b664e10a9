from itertools import accumulate, pairwise

from hypothesis import given
from hypothesis import strategies as st

from saccade.pipelines.order.lanes import Lane, deal_lanes

Groups = list[tuple[int, int]]
row_groups = st.lists(st.integers(0, 12), max_size=10).map(lambda sizes: list(pairwise(accumulate(sizes, initial=0))))


def rows_of(lane: Lane, window: int) -> list[int]:
    return [row for first, last in lane.rows(window) for row in range(first, last)]


@given(row_groups, st.integers(1, 6), st.integers(1, 9), st.booleans())
def test_lanes_partition_the_rows(groups: Groups, count: int, window: int, shuffle: bool) -> None:
    lanes = deal_lanes(groups, count, window, seed=1, epoch=2, shuffle=shuffle)
    found = [[rows_of(lane, w) for w in range(lane.windows)] for lane in lanes]
    flat = [row for lane in found for rows in lane for row in rows]
    total = groups[-1][1] if groups else 0
    assert sorted(flat) == list(range(total))
    assert shuffle or flat == list(range(total))
    sizes = [sum(map(len, lane)) for lane in found]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] - sizes[-1] <= 1
    for lane in found:
        assert all(len(rows) == window for rows in lane[:-1])
        assert all(lane)


@given(row_groups, st.integers(1, 6), st.integers(1, 9))
def test_a_range_lies_in_one_row_group(groups: Groups, count: int, window: int) -> None:
    for lane in deal_lanes(groups, count, window, seed=1, epoch=2, shuffle=True):
        for number in range(lane.windows):
            ranges = lane.rows(number)
            assert all(any(first <= a < b <= last for first, last in groups) for a, b in ranges)
            # A lane goes through a row group from front to back, and comes back to none.
            assert len({next(g for g in groups if g[0] <= a < g[1]) for a, _ in ranges}) == len(ranges)


@given(row_groups, st.integers(1, 6))
def test_two_lanes_share_at_most_the_row_group_at_their_edge(groups: Groups, count: int) -> None:
    lanes = deal_lanes(groups, count, 1000, seed=1, epoch=2, shuffle=True)
    touched = sum(len(lane.rows(0)) for lane in lanes if lane.windows)
    assert touched <= sum(first < last for first, last in groups) + count - 1


def test_epochs_and_seeds_differ() -> None:
    groups = list(pairwise(range(0, 101, 5)))

    def ranges(seed: int, epoch: int) -> Groups:
        return list(deal_lanes(groups, 2, 8, seed=seed, epoch=epoch, shuffle=True)[0].ranges)

    assert ranges(1, 0) == ranges(1, 0)
    assert ranges(1, 0) != ranges(1, 1) != ranges(2, 1)
    assert sorted(ranges(1, 0)) == groups
