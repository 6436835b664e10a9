"""Every score against its formula, written out pair by pair."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from saccade.models.attention.formula import spread_heads
from saccade.models.attention.scores import (
    Additive,
    Concat,
    Cosine,
    Dot,
    General,
    LocationAware,
    ScaledDot,
    Score,
)

HEADS, KEY_HEADS, DIM = 4, 2, 6
Pair = Callable[[int, int, Tensor, Tensor], Tensor]
"""From the indices of query head and key head and the two vectors to the score."""


def dot() -> tuple[Score, Pair]:
    return Dot(), lambda h, g, q, k: sum((q[d] * k[d] for d in range(DIM)), torch.tensor(0.0))


def scaled_dot() -> tuple[Score, Pair]:
    return ScaledDot(), lambda h, g, q, k: q.dot(k) / math.sqrt(DIM)


def general() -> tuple[Score, Pair]:
    score = General(DIM, HEADS)
    return score, lambda h, g, q, k: q @ score.query.weight[h] @ k


def fixed_cosine() -> tuple[Score, Pair]:
    return Cosine(HEADS, temperature=0.3, learned=False), lambda h, g, q, k: q @ k / (q.norm() * k.norm()) / 0.3


def learned_cosine() -> tuple[Score, Pair]:
    score = Cosine(HEADS, temperature=0.3)
    assert score.learned is not None
    logarithm = score.learned.logarithm
    assert logarithm.exp().flatten().tolist() == pytest.approx([0.3] * HEADS)
    torch.nn.init.normal_(logarithm)
    return score, lambda h, g, q, k: q @ k / (q.norm() * k.norm() * logarithm[h, 0].exp())


def concat() -> tuple[Score, Pair]:
    score = Concat(DIM, HEADS, KEY_HEADS)

    def pair(h: int, g: int, q: Tensor, k: Tensor) -> Tensor:
        w = torch.cat((score.query.weight[h], score.key.weight[g])).squeeze(1)
        return w @ torch.cat((q, k))

    return score, pair


def additive() -> tuple[Score, Pair]:
    score = Additive(DIM, HEADS, KEY_HEADS, hidden=5)
    assert score.query.bias is not None
    bias = torch.nn.init.normal_(score.query.bias)

    def pair(h: int, g: int, q: Tensor, k: Tensor) -> Tensor:
        hidden = torch.tanh(score.query.weight[h].T @ q + score.key.weight[g].T @ k + bias[h])
        return score.vector[h] @ hidden

    return score, pair


@pytest.mark.parametrize("make", [dot, scaled_dot, general, fixed_cosine, learned_cosine, concat, additive])
def test_a_score_is_its_formula(make: Callable[[], tuple[Score, Pair]]) -> None:
    torch.manual_seed(0)
    score, pair = make()
    score.double()
    query = torch.randn(5, HEADS, DIM, dtype=torch.float64)
    key = torch.randn(7, KEY_HEADS, DIM, dtype=torch.float64)
    prepared, prepared_key = (x.transpose(0, 1)[None] for x in score.prepare(query, key))
    found = score(prepared, spread_heads(prepared_key, HEADS)) * score.scale(prepared.shape[-1])
    assert found.shape == (1, HEADS, 5, 7)
    for h in range(HEADS):
        g = h // (HEADS // KEY_HEADS)
        for i in range(5):
            for j in range(7):
                expected = pair(h, g, query[i, h], key[j, g])
                assert found[0, h, i, j].item() == pytest.approx(expected.item(), abs=1e-12)


def test_the_location_aware_score_is_its_formula() -> None:
    torch.manual_seed(0)
    filters, width, half = 3, 5, 2
    score = LocationAware(DIM, HEADS, KEY_HEADS, hidden=4, filters=filters, width=width).double()
    assert score.query.bias is not None
    bias = torch.nn.init.normal_(score.query.bias)
    query = torch.randn(1, HEADS, DIM, dtype=torch.float64)
    key = torch.randn(7, KEY_HEADS, DIM, dtype=torch.float64)
    previous = torch.rand(1, HEADS, 7, dtype=torch.float64)
    prepared, prepared_key = (x.transpose(0, 1)[None] for x in score.prepare(query, key))
    for alpha in (previous, torch.zeros_like(previous), None):
        found = score(prepared, spread_heads(prepared_key, HEADS), alpha)
        for h in range(HEADS):
            g = h // (HEADS // KEY_HEADS)
            filter_of = score.filters.weight.view(HEADS, filters, width)[h]
            for j in range(7):
                location = torch.zeros(filters, dtype=torch.float64)
                for offset in range(-half, half + 1):
                    if alpha is not None and 0 <= j + offset < 7:
                        location += filter_of[:, offset + half] * alpha[0, h, j + offset]
                inner = score.query.weight[h].T @ query[0, h] + score.key.weight[g].T @ key[j, g] + bias[h]
                inner = inner + score.location.weight[h].T @ location
                expected = score.vector[h] @ torch.tanh(inner)
                assert found[0, h, 0, j].item() == pytest.approx(expected.item(), abs=1e-12)


def test_a_short_vector_is_not_stretched() -> None:
    score = Cosine(1, temperature=1.0, learned=False, epsilon=0.5)
    query, key = torch.tensor([[[0.1, 0.0]]]), torch.tensor([[[3.0, 4.0]]])
    prepared, prepared_key = score.prepare(query, key)
    assert prepared.flatten().tolist() == pytest.approx([0.2, 0.0])
    assert prepared_key.flatten().tolist() == pytest.approx([0.6, 0.8])


def test_cosine_does_not_overflow_in_half_precision() -> None:
    vectors = torch.full((2, 1, 64), 10_000.0, dtype=torch.float16)
    prepared, _ = Cosine(1, learned=False).prepare(vectors, vectors)
    assert prepared.float().norm(dim=-1).flatten().tolist() == pytest.approx([1, 1], abs=1e-3)


@pytest.mark.parametrize("score", [General(64, 2), Additive(64, 2, 2), Concat(64, 2, 2)])
def test_scores_begin_at_about_1(score: Score) -> None:
    torch.manual_seed(0)
    query, key = (x.transpose(0, 1)[None] for x in score.prepare(torch.randn(50, 2, 64), torch.randn(50, 2, 64)))
    assert 0.3 < score(query, key).std().item() < 2


@pytest.mark.parametrize(
    ("score", "options", "message"),
    [
        (Cosine, {"temperature": 0.0}, "cosine: temperature=0.0"),
        (Cosine, {"epsilon": -1.0}, "cosine: epsilon=-1.0"),
        (Additive, {"hidden": 0}, "hidden=0"),
        (LocationAware, {"hidden": -1}, "hidden=-1"),
        (LocationAware, {"width": 4}, "location_aware: width=4"),
        (LocationAware, {"filters": 0}, "location_aware: filters=0"),
    ],
)
def test_a_bad_option_is_named(score: type[Score], options: dict[str, Any], message: str) -> None:
    supplied: dict[str, Any] = {"heads": 2} if score is Cosine else {"dim": 4, "heads": 2, "key_heads": 2}
    with pytest.raises(ValueError, match=message):
        score(**supplied, **options)
