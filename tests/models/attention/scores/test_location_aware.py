"""The location-aware score inside a formula: each query sees where the last one looked."""

import pytest
import torch
from torch import Tensor

from saccade.models.attention.formula import Formula, spread_heads
from saccade.models.attention.normalizers import Normalizer, Softmax, Sparsemax
from saccade.models.attention.scores import LocationAware


def prepared(score: LocationAware, queries: int, keys: int) -> tuple[Tensor, Tensor]:
    """[2, 4, queries, F] and [2, 2, keys, F]."""
    query, key = score.prepare(torch.randn(2 * queries, 4, 6).double(), torch.randn(2 * keys, 2, 6).double())
    return query.view(2, queries, 4, -1).transpose(1, 2), key.view(2, keys, 2, -1).transpose(1, 2)


@pytest.mark.parametrize("normalizer", [Softmax(), Sparsemax()])
def test_weights_follow_from_those_of_the_query_before(normalizer: Normalizer) -> None:
    torch.manual_seed(0)
    score = LocationAware(6, 4, 2, filters=3, width=5).double()
    query, key = prepared(score, 5, 7)
    causal = torch.ones(5, 7, dtype=torch.bool).tril(2)
    found = Formula(score, normalizer, None, []).weights(query, key, None, causal)
    previous = torch.zeros(2, 4, 7, dtype=torch.float64)
    for i in range(5):
        scores = score(query[:, :, i : i + 1], spread_heads(key, 4), previous)
        previous = normalizer(scores, causal[i : i + 1])[:, :, 0]
        torch.testing.assert_close(found[:, :, i], previous)


def test_a_later_query_sees_where_the_first_looked() -> None:
    torch.manual_seed(0)
    score = LocationAware(6, 4, 2).double()
    query, key = prepared(score, 3, 7)
    other = query.clone()
    other[:, :, 0] += 1
    formula = Formula(score, Softmax(), None, [])
    change = (formula.weights(query, key, None, None) - formula.weights(other, key, None, None)).abs().amax((0, 1, 3))
    assert (change > 1e-6).all()


@pytest.mark.parametrize("extra", [1, 40])
def test_padding_within_and_beyond_a_filters_reach_changes_nothing(extra: int) -> None:
    torch.manual_seed(0)
    score = LocationAware(6, 4, 2, width=31).double()
    query, key = prepared(score, 4, 7)
    _, junk = prepared(score, 1, extra)
    allowed = (torch.arange(7 + extra) < 7)[None]
    formula = Formula(score, Softmax(), None, [])
    found = formula.weights(query, torch.cat((key, 50 * junk), 2), None, allowed)
    torch.testing.assert_close(found[..., :7], formula.weights(query, key, None, None), rtol=1e-12, atol=1e-12)
    assert not found[..., 7:].any()


def test_several_queries_at_once_are_refused() -> None:
    score = LocationAware(6, 4, 2).double()
    query, key = prepared(score, 2, 7)
    with pytest.raises(ValueError, match="location_aware: 2 queries at once"):
        score(query, spread_heads(key, 4), torch.zeros(2, 4, 7).double())
