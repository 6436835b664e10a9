"""Drawing negatives, and the correction that makes them stand for all items."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from saccade.models.losses.sampled_softmax import sampled_softmax
from saccade.pipelines.seeds import generator
from saccade.pipelines.tasks.negatives import ScoredLoss
from saccade.pipelines.tasks.sampling import Popular, Sampler, Uniform

ITEMS, DIM = 40, 6
COUNTS = torch.cat((torch.tensor([7, 0]), torch.arange(ITEMS - 2) ** 2 % 23))
SAMPLERS = {"uniform": Uniform(), "popular": Popular(COUNTS), "flattened": Popular(COUNTS, 0.5)}


@pytest.mark.parametrize("name", SAMPLERS)
def test_items_are_drawn_as_often_as_they_say(name: str) -> None:
    sampler = SAMPLERS[name]
    drawn = sampler.draw(200_000, ITEMS, generator(3))
    share = torch.bincount(drawn, minlength=ITEMS).double() / len(drawn)
    expected = sampler.probability(torch.arange(ITEMS), ITEMS)
    expected[0] = 0.0
    assert expected.sum() == pytest.approx(1.0)
    assert (share - expected).abs().max() < 0.004
    assert share[0] == 0
    assert (share[expected == 0] == 0).all()


def test_popularity_follows_its_exponent() -> None:
    known = COUNTS.double()
    known[0] = 0
    torch.testing.assert_close(SAMPLERS["popular"].probability(torch.arange(ITEMS), ITEMS), known / known.sum())
    root = known.sqrt()
    torch.testing.assert_close(SAMPLERS["flattened"].probability(torch.arange(ITEMS), ITEMS), root / root.sum())


@given(st.integers(0, 50), st.sampled_from(list(SAMPLERS)))
def test_a_draw_has_its_number(count: int, name: str) -> None:
    drawn = SAMPLERS[name].draw(count, ITEMS, generator(count))
    assert drawn.shape == (count,)
    assert drawn.dtype == torch.int64


def every_item(counts: torch.Tensor) -> Popular:
    """Popularity of items that are all met now and then."""
    return Popular(counts % 5 + 1)


@pytest.mark.parametrize("sampler", [Uniform(), every_item(torch.arange(ITEMS))], ids=["uniform", "popular"])
def test_log_q_sums_to_the_full_softmax_in_expectation(sampler: Sampler) -> None:
    """The mean over draws of the corrected negatives' exponentials is the sum over all items but the target."""
    torch.manual_seed(0)
    table, hidden = torch.randn(ITEMS, DIM, dtype=torch.float64) * 0.5, torch.randn(2, DIM, dtype=torch.float64)
    targets = torch.tensor([4, 9])
    found = []

    def reduce(positive: torch.Tensor, negative: torch.Tensor) -> torch.Tensor:
        found.append(negative.exp().sum(1))
        return positive.sum()

    loss = ScoredLoss(16, True, reduce, sampler=sampler, log_q=True)
    rng = generator(5)
    for _ in range(4000):
        negatives = loss.draw(2, ITEMS, rng)
        expected = loss.log_expected(negatives, targets, ITEMS)
        loss(hidden, table[targets], table[negatives], targets, negatives, expected)
    scores = (hidden @ table.T).exp()
    others = scores[:, 1:].sum(1) - scores[torch.arange(2), targets]
    assert torch.stack(found).mean(0).tolist() == pytest.approx(others.tolist(), rel=0.02)


def full_softmax(hidden: torch.Tensor, table: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    logits = hidden @ table.T
    logits[:, 0] = -torch.inf
    return torch.nn.functional.cross_entropy(logits, targets, reduction="sum")


@pytest.mark.parametrize("mixed", [False, True])
def test_many_negatives_give_the_full_softmax_and_its_gradient(mixed: bool) -> None:
    """Drawn by popularity; and targets as negatives, mixed with uniform ones, where targets come by popularity."""
    torch.manual_seed(0)
    popular = every_item(torch.arange(ITEMS))
    table, rng = torch.randn(ITEMS, DIM) * 0.5, generator(1)
    count = 3000
    targets = popular.draw(count, ITEMS, rng)
    hidden = torch.randn(count, DIM, requires_grad=True)
    loss = (
        ScoredLoss(count, True, sampled_softmax, in_batch=popular, log_q=True)
        if mixed
        else ScoredLoss(2 * count, True, sampled_softmax, sampler=popular, log_q=True)
    )
    negatives = loss.draw(count, ITEMS, rng)
    expected = loss.log_expected(negatives, targets, ITEMS)
    ours = loss(hidden, table[targets], table[negatives], targets, negatives, expected)
    whole = full_softmax(hidden, table, targets)
    assert ours.item() == pytest.approx(whole.item(), rel=0.01)
    gradients = [torch.autograd.grad(value, hidden)[0] for value in (ours, whole)]
    assert (gradients[0] - gradients[1]).norm() < 0.05 * gradients[1].norm()


def test_without_the_correction_it_would_differ() -> None:
    popular = Popular(COUNTS)
    ids = torch.arange(2, 8)
    plain, corrected = (ScoredLoss(6, True, sampled_softmax, sampler=popular, log_q=q) for q in (False, True))
    assert plain.log_expected(ids, ids[:1], ITEMS) is None
    found = corrected.log_expected(ids, ids[:1], ITEMS)
    torch.testing.assert_close(found, (popular.share[ids] * 6).log().float())


def test_targets_of_the_batch_are_negatives_of_the_others_only() -> None:
    torch.manual_seed(0)
    hidden, table = torch.randn(3, DIM), torch.randn(ITEMS, DIM)
    targets = torch.tensor([5, 8, 5])
    seen = []

    def reduce(positive: torch.Tensor, negative: torch.Tensor) -> torch.Tensor:
        seen.append(negative)
        return positive.sum()

    empty = torch.zeros(0, dtype=torch.int64)
    ScoredLoss(0, True, reduce, in_batch=Uniform())(hidden, table[targets], table[empty], targets, empty)
    assert torch.equal(seen[0].isinf(), torch.tensor([[1, 0, 1], [0, 1, 0], [1, 0, 1]]).bool())
