from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from saccade.models.jagged import Jagged
from saccade.models.recommendation import top_k
from saccade.models.recommendation.top_k import best_items


@given(
    queries=st.integers(0, 5),
    rows=st.integers(1, 40),
    k=st.integers(1, 50),
    padding=st.integers(0, 1),
    block=st.integers(1, 60),
    some=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_the_best_items_are_those_of_the_whole_matrix(
    queries: int, rows: int, k: int, padding: int, block: int, some: bool, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    table, vectors = torch.randn(rows, 4, generator=generator), torch.randn(queries, 4, generator=generator)
    seen = [torch.randint(0, rows, (seed % 7,), generator=generator) for _ in range(queries)]
    allowed = torch.randint(0, rows, (5,), generator=generator).unique() if some else None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(top_k, "SCORES", block)
        ids, scores = best_items(
            vectors, table, k, seen=Jagged.pack(seen) if seen else None, allowed=allowed, padding_rows=padding
        )
    expected = vectors @ table.T
    for query, items in enumerate(seen):
        expected[query, items] = -torch.inf
    expected[:, :padding] = -torch.inf
    if allowed is not None:
        refused = torch.ones(rows, dtype=torch.bool)
        refused[allowed] = False
        expected[:, refused] = -torch.inf
    best = expected.topk(scores.shape[1], dim=1).values
    torch.testing.assert_close(scores, best)
    for query in range(queries):
        real = scores[query] > -torch.inf
        assert int(real.sum()) == min(k, int((expected[query] > -torch.inf).sum()))
        torch.testing.assert_close(expected[query, ids[query, real]], scores[query, real])
        assert len(set(ids[query, real].tolist())) == int(real.sum())
