from itertools import pairwise

import torch
from hypothesis import given
from hypothesis import strategies as st

from saccade.pipelines.order.cut import cut
from saccade.pipelines.seeds import generator

lengths_of_a_window = st.lists(st.integers(0, 50), max_size=60)


@given(lengths_of_a_window, st.integers(1, 120), st.booleans())
def test_micro_batches_partition_the_window_within_the_budget(lengths: list[int], tokens: int, shuffle: bool) -> None:
    pieces = cut(torch.tensor(lengths, dtype=torch.int64), tokens, generator("cut") if shuffle else None)
    assert sorted(i for piece in pieces for i in piece.tolist()) == list(range(len(lengths)))
    for piece in pieces:
        assert len(piece)
        assert sum(lengths[i] for i in piece) <= tokens or len([i for i in piece if lengths[i]]) == 1


@given(lengths_of_a_window, st.integers(1, 120))
def test_rows_of_a_micro_batch_are_of_similar_length(lengths: list[int], tokens: int) -> None:
    pieces = cut(torch.tensor(lengths, dtype=torch.int64), tokens, generator("similar"))
    spans = sorted((min(found), max(found)) for found in ([lengths[i] for i in piece] for piece in pieces))
    assert all(left[1] <= right[0] for left, right in pairwise(spans))


def tokens_of(lengths: list[int], tokens: int) -> list[int]:
    """What each micro-batch of a window holds, a row over the budget counted as a full one; shortest rows first."""
    pieces = cut(torch.tensor(lengths, dtype=torch.int64), tokens, None)
    return [sum(min(lengths[i], tokens) for i in piece.tolist()) for piece in pieces]


def fewest(lengths: list[int], tokens: int) -> int:
    """Micro-batches filled one after the other, with rows in order of length."""
    count, used = 1, 0
    for length in sorted(min(length, tokens) for length in lengths):
        if used + length > tokens:
            count, used = count + 1, 0
        used += length
    return count


@given(lengths_of_a_window.filter(len), st.integers(1, 120))
def test_micro_batches_are_as_few_as_fit(lengths: list[int], tokens: int) -> None:
    found = tokens_of(lengths, tokens)
    assert len(found) == fewest(lengths, tokens)
    assert all(left + right > tokens for left, right in pairwise(found))
    # All but one could be filled to within the longest row.
    longest = max(min(length, tokens) for length in lengths)
    assert (len(found) - 1) * (tokens - longest) <= sum(found)


@given(st.lists(st.integers(0, 12), min_size=1, max_size=200), st.integers(13, 120))
def test_micro_batches_are_of_equal_tokens_where_rows_allow(lengths: list[int], tokens: int) -> None:
    found, longest = tokens_of(lengths, tokens), max(lengths)
    average = sum(found) / len(found)
    if average + longest <= tokens and longest:
        assert all(abs(one - average) < longest for one in found)


def test_no_micro_batch_is_a_small_rest() -> None:
    assert tokens_of([1] * 101, 100) == [51, 50]


def test_a_row_over_the_budget_is_alone() -> None:
    assert [piece.tolist() for piece in cut(torch.tensor([3, 99, 2, 4, 50]), 9, None)] == [[2, 0, 3], [4], [1]]


def test_a_generator_decides() -> None:
    lengths = torch.randint(1, 6, (40,))

    def pieces(*seed: int) -> list[list[int]]:
        return [piece.tolist() for piece in cut(lengths, 20, generator(*seed))]

    assert pieces(1) == pieces(1)
    assert pieces(1) != pieces(2)
    without = cut(lengths, 20, None)
    assert torch.equal(torch.cat(without), lengths.argsort(stable=True))
