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


def test_a_generator_decides() -> None:
    lengths = torch.randint(1, 6, (40,))

    def pieces(*seed: int) -> list[list[int]]:
        return [piece.tolist() for piece in cut(lengths, 20, generator(*seed))]

    assert pieces(1) == pieces(1)
    assert pieces(1) != pieces(2)
    without = cut(lengths, 20, None)
    assert torch.equal(torch.cat(without), lengths.argsort(stable=True))
