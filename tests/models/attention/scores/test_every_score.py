"""What every score of the registry promises, those of plug-ins included once they are imported."""

import pytest
import torch
from tests.models.attention.formulas import own
from torch import Tensor

import saccade.models.attention.scores
from saccade.models.attention.formula import Formula, spread_heads
from saccade.models.attention.normalizers import Softmax
from saccade.models.attention.scores import Score
from saccade.models.registry import Choice

DIM = 6
CHOICES = [Choice.of(entry.name) for entry in own("score")] + [
    Choice.of("cosine", learned=False, temperature=0.5),
    Choice.of("additive", hidden=3),
    Choice.of("location_aware", hidden=5, filters=2, width=3),
]
every_choice = pytest.mark.parametrize("choice", CHOICES, ids=lambda c: "-".join([c.name, *c.options]))
every_grouping = pytest.mark.parametrize(("heads", "key_heads"), [(1, 1), (4, 4), (4, 2), (4, 1)])


def build(choice: Choice, heads: int = 4, key_heads: int = 2) -> Score:
    torch.manual_seed(3)
    score: Score = choice.build("score", dim=DIM, heads=heads, key_heads=key_heads, max_length=50)
    return score.double()


def tokens(count: int, heads: int) -> Tensor:
    return torch.randn(count, heads, DIM, dtype=torch.float64)


def weights(score: Score, query: Tensor, key: Tensor, allowed: Tensor | None = None) -> Tensor:
    """Those of one example, [1, H, T, S], of tokens [T, H, D] and [S, G, D]."""
    query, key = score.prepare(query, key)
    formula = Formula(score, Softmax(), None, [])
    return formula.weights(query.transpose(0, 1)[None], key.transpose(0, 1)[None], None, allowed)


def test_the_package_registers_its_own() -> None:
    names = {"dot", "scaled_dot", "general", "cosine", "concat", "additive", "location_aware"}
    assert {entry.name for entry in own("score")} == names
    classes = {entry.cls.__name__ for entry in own("score") if entry.name in names}
    assert classes < set(saccade.models.attention.scores.__all__)


def test_which_scores_are_products() -> None:
    products = {choice.name: build(choice).product for choice in CHOICES}
    assert products == {name: name not in ("additive", "location_aware") for name in products}


@every_choice
@every_grouping
def test_prepare_keeps_tokens_and_heads(choice: Choice, heads: int, key_heads: int) -> None:
    score = build(choice, heads, key_heads)
    query, key = score.prepare(tokens(5, heads), tokens(7, key_heads))
    assert query.shape[:2] == (5, heads)
    assert key.shape[:2] == (7, key_heads)
    assert query.shape[2] == key.shape[2]


@every_choice
def test_prepare_maps_every_token_by_itself(choice: Choice) -> None:
    score, query, key = build(choice), tokens(5, 4), tokens(7, 2)
    some_queries, some_keys = torch.tensor([4, 1]), torch.tensor([0, 6, 3])
    all_of, some = score.prepare(query, key), score.prepare(query[some_queries], key[some_keys])
    torch.testing.assert_close(some[0], all_of[0][some_queries], rtol=1e-13, atol=1e-13)
    torch.testing.assert_close(some[1], all_of[1][some_keys], rtol=1e-13, atol=1e-13)


@every_choice
@every_grouping
def test_a_key_head_serves_its_query_heads(choice: Choice, heads: int, key_heads: int) -> None:
    """Repeating every key head, parameters included, changes nothing."""
    shared, repeated = build(choice, heads, key_heads), build(choice, heads, heads)
    state = shared.state_dict()
    for name, value in repeated.state_dict().items():
        times = len(value) // len(state[name])
        value.copy_(state[name].repeat_interleave(times, 0))
    query, key = tokens(5, heads), tokens(7, key_heads)
    key_of_each = key.repeat_interleave(heads // key_heads, 1)
    torch.testing.assert_close(weights(shared, query, key), weights(repeated, query, key_of_each))


@every_choice
def test_hidden_keys_do_not_matter(choice: Choice) -> None:
    score, query, key = build(choice), tokens(5, 4), tokens(7, 2)
    padded = torch.cat((key, 100 * tokens(9, 2)))
    allowed = (torch.arange(16) < 7)[None]
    found = weights(score, query, padded, allowed)
    torch.testing.assert_close(found[..., :7], weights(score, query, key), rtol=1e-12, atol=1e-12)
    assert not found[..., 7:].any()


@every_choice
def test_gradients_are_finite_differences(choice: Choice) -> None:
    score, query, key = build(choice), tokens(3, 4).requires_grad_(), tokens(5, 2).requires_grad_()
    inputs = (query, key, *score.parameters())
    many = sum(x.numel() for x in inputs) > 1000  # then random combinations of them instead of each
    assert torch.autograd.gradcheck(lambda *_: weights(score, query, key), inputs, fast_mode=many)


@every_choice
def test_zero_vectors_have_finite_scores_and_gradients(choice: Choice) -> None:
    score = build(choice).float()
    query, key = torch.zeros(3, 4, DIM, requires_grad=True), torch.zeros(5, 2, DIM, requires_grad=True)
    prepared, prepared_key = score.prepare(query, key)
    found = weights(score, query, key)
    (found * torch.randn(found.shape)).sum().backward()
    for tensor in (prepared, prepared_key, found, query.grad, key.grad, *(p.grad for p in score.parameters())):
        assert tensor is not None
        assert tensor.isfinite().all()


@every_choice
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_scores_have_the_dtype_of_their_tokens(choice: Choice, dtype: torch.dtype) -> None:
    score = build(choice).to(dtype)
    query, key = score.prepare(tokens(3, 4).to(dtype), tokens(5, 2).to(dtype))
    one, keys = query.transpose(0, 1)[None, :, :1], spread_heads(key.transpose(0, 1)[None], 4)
    scores = score(one, keys, torch.rand(1, 4, 5).to(dtype) if score.sequential else None)
    assert query.dtype == key.dtype == scores.dtype == dtype
    assert scores.shape == (1, 4, 1, 5)


@every_choice
def test_there_may_be_no_keys(choice: Choice) -> None:
    assert weights(build(choice), tokens(3, 4), tokens(0, 2)).shape == (1, 4, 3, 0)
    assert weights(build(choice), tokens(0, 4), tokens(3, 2)).shape == (1, 4, 0, 3)
