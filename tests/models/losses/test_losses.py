import math
from collections.abc import Callable
from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from saccade.models.losses.binary import bce, gbce
from saccade.models.losses.cross_entropy import cross_entropy
from saccade.models.losses.negatives import own_negatives, shared_negatives
from saccade.models.losses.pairwise import bpr
from saccade.models.losses.sampled_softmax import sampled_softmax

INF = math.inf
scores = st.lists(st.floats(-8, 8, width=32), min_size=4, max_size=4)
batches = st.lists(scores, min_size=1, max_size=5)
REDUCTIONS = {
    "sampled_softmax": sampled_softmax,
    "bce": bce,
    "gbce": partial(gbce, items=50, calibration=0.7),
    "bpr": bpr,
    "smoothed": partial(sampled_softmax, label_smoothing=0.2),
}


def split(rows: list[list[float]]) -> tuple[Tensor, Tensor]:
    """The first score of each row is the positive's."""
    tensor = torch.tensor(rows)
    return tensor[:, 0], tensor[:, 1:]


def log_sigmoid(x: float) -> float:
    return -math.log1p(math.exp(-x))


@given(batches, st.floats(0.1, 3))
def test_sampled_softmax_is_the_formula(rows: list[list[float]], temperature: float) -> None:
    positive, negative = split(rows)
    expected = sum(
        -math.log(math.exp(p / temperature) / sum(math.exp(s / temperature) for s in [p, *n])) for p, *n in rows
    )
    assert sampled_softmax(positive, negative, temperature).item() == pytest.approx(expected, rel=1e-4, abs=1e-4)


@given(batches, st.floats(0, 0.9))
def test_a_smoothed_softmax_is_the_formula(rows: list[list[float]], smoothing: float) -> None:
    expected = 0.0
    for row in rows:
        log_sum = math.log(sum(map(math.exp, row)))
        spread = sum(score - log_sum for score in row) / len(row)
        expected -= (1 - smoothing) * (row[0] - log_sum) + smoothing * spread
    found = sampled_softmax(*split(rows), label_smoothing=smoothing).item()
    assert found == pytest.approx(expected, rel=1e-4, abs=1e-4)


@given(batches)
def test_bpr_is_the_formula(rows: list[list[float]]) -> None:
    expected = sum(-sum(log_sigmoid(p - s) for s in n) / len(n) for p, *n in rows)
    assert bpr(*split(rows)).item() == pytest.approx(expected, rel=1e-5)


@given(batches)
def test_bce_is_the_formula(rows: list[list[float]]) -> None:
    expected = sum(-log_sigmoid(p) - sum(log_sigmoid(-s) for s in n) / len(n) for p, *n in rows)
    assert bce(*split(rows)).item() == pytest.approx(expected, rel=1e-5)


@given(batches, st.integers(5, 1000), st.floats(0, 1))
def test_gbce_is_the_formula(rows: list[list[float]], items: int, t: float) -> None:
    alpha = 3 / (items - 1)
    beta = alpha * (t * (1 - 1 / alpha) + 1 / alpha)
    expected = sum(-math.log((1 + math.exp(-p)) ** -beta) - sum(log_sigmoid(-s) for s in n) for p, *n in rows)
    assert gbce(*split(rows), items, t).item() == pytest.approx(expected, rel=1e-4, abs=1e-4)


def test_gbce_without_calibration_is_the_sum_of_bce() -> None:
    positive, negative = torch.randn(6), torch.randn(6, 1)
    torch.testing.assert_close(gbce(positive, negative, 100, 0.0), bce(positive, negative))


@pytest.mark.parametrize("name", REDUCTIONS)
def test_a_negative_that_is_left_out_counts_nothing(name: str) -> None:
    reduce = REDUCTIONS[name]
    positive = torch.tensor([0.3, -2.0], requires_grad=True)
    negative = torch.tensor([[-INF, 1.0, -0.5], [-INF, -INF, -INF]], requires_grad=True)
    loss = reduce(positive, negative)
    gradients = torch.autograd.grad(loss, (positive, negative))
    assert loss.isfinite()
    assert all(g.isfinite().all() for g in gradients)
    assert not gradients[1][negative == -INF].any()
    if name == "smoothed":  # what is left out has no share of the probability that is spread
        torch.testing.assert_close(loss, reduce(positive[:1], negative[:1, 1:]))  # the other has no negative at all
        return
    far = torch.where(negative == -INF, torch.tensor(-1e4), negative)
    torch.testing.assert_close(loss, reduce(positive, far))


@pytest.mark.parametrize("name", REDUCTIONS)
def test_extreme_scores_stay_finite(name: str) -> None:
    positive = torch.tensor([-1e4, 1e4], requires_grad=True)
    loss = REDUCTIONS[name](positive, torch.tensor([[1e4, 0.0], [-1e4, 1e4]]))
    assert loss.isfinite()
    assert torch.autograd.grad(loss, positive)[0].isfinite().all()


@pytest.mark.parametrize("score", [shared_negatives, own_negatives])
@pytest.mark.parametrize("name", REDUCTIONS)
def test_an_empty_micro_batch_costs_nothing(name: str, score: Callable[..., Tensor]) -> None:
    hidden = torch.zeros(0, 4, requires_grad=True)
    negatives = torch.randn(3 if score is shared_negatives else 0, 4, requires_grad=True)
    ids = torch.zeros(0, dtype=torch.int64)
    scored = score(hidden, negatives, ids, torch.arange(len(negatives)))
    loss = REDUCTIONS[name](hidden.sum(-1), scored)
    loss.backward()
    assert loss.item() == 0
    assert not negatives.grad.any()  # type: ignore[union-attr]


def test_accidental_hits_are_left_out() -> None:
    hidden, vectors = torch.randn(3, 4), torch.randn(3, 2, 4)
    targets = torch.tensor([5, 6, 7])
    own_ids = torch.tensor([[5, 6], [1, 2], [7, 7]])
    own = own_negatives(hidden, vectors.flatten(0, 1), targets, own_ids.flatten())
    shared = shared_negatives(hidden, vectors[0], targets, torch.tensor([7, 1]))
    for n in range(3):
        for s in range(2):
            want = -INF if own_ids[n, s] == targets[n] else (hidden[n] @ vectors[n, s]).item()
            assert own[n, s].item() == pytest.approx(want, rel=1e-5)
            want = -INF if (n, s) == (2, 0) else (hidden[n] @ vectors[0, s]).item()
            assert shared[n, s].item() == pytest.approx(want, rel=1e-5)


@given(st.floats(0, 0.9))
def test_cross_entropy_is_the_formula(smoothing: float) -> None:
    logits = torch.tensor([[1.0, -2.0, 0.5], [0.0, 3.0, -1.0]])
    targets = [2, 0]
    p = logits.softmax(1).log()
    expected = sum(-((1 - smoothing) * p[n, y] + smoothing / 3 * p[n].sum()).item() for n, y in enumerate(targets))
    assert cross_entropy(logits, torch.tensor(targets), smoothing).item() == pytest.approx(expected, rel=1e-5)
    assert cross_entropy(logits[:0], torch.zeros(0, dtype=torch.int64), smoothing).item() == 0


@pytest.mark.parametrize("name", REDUCTIONS)
def test_the_sum_is_float32_from_bfloat16_scores(name: str) -> None:
    assert REDUCTIONS[name](torch.randn(3).bfloat16(), torch.randn(3, 2).bfloat16()).dtype == torch.float32
