"""What all biases share: pair by pair or all at once, whatever the places; and their tables' gradients."""

from collections.abc import Hashable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from saccade.models.attention.coordinates import Coordinates
from saccade.models.attention.formula import Formula
from saccade.models.attention.normalizers.softmax import Softmax
from saccade.models.attention.positions import ALiBi, Bias, BucketedBias, RelativePosition, RelativeTime
from saccade.models.attention.scores.dot import Dot

HEADS = 3


def make_biases() -> list[Bias]:
    biases: list[Bias] = [
        ALiBi(HEADS),
        RelativePosition(HEADS, buckets=8, max_distance=20),
        RelativePosition(HEADS, bidirectional=False),
        RelativeTime(HEADS, buckets=12, unit=2.0, divisor=0.7),
    ]
    for bias in biases:
        for parameter in bias.parameters():
            nn.init.normal_(parameter)
    return [bias.double() for bias in biases]


BIASES = make_biases()
NAMES = [type(bias).__name__ for bias in BIASES]


def places(shape: tuple[int, int], seed: int) -> Coordinates:
    """Any places: unsorted, repeated, apart; as a strided view."""
    generator = torch.Generator().manual_seed(seed)
    position = torch.randint(0, 300, (*shape, 2), generator=generator)[..., 0]
    return Coordinates(position, torch.randint(0, 10**6, (*shape, 2), generator=generator)[..., 1])


def whole(bias: Bias, query: Coordinates, key: Coordinates) -> Tensor:
    """[N, H, Lq, Lk] of coordinates [N, L], as a formula asks for it."""
    found: Tensor = bias(query.as_queries().map(lambda x: x[:, None]), key.as_keys().map(lambda x: x[:, None]))
    return found


@pytest.mark.parametrize("bias", BIASES, ids=NAMES)
@given(
    examples=st.tuples(st.integers(1, 3), st.booleans(), st.booleans()),
    queries=st.integers(0, 4),
    keys=st.integers(0, 5),
    seed=st.integers(0, 2**20),
)
def test_pair_by_pair_equals_all_at_once(
    bias: Bias, examples: tuple[int, bool, bool], queries: int, keys: int, seed: int
) -> None:
    number, one_query, one_key = examples  # places of one example stand for those of all
    query = places((1 if one_query else number, queries), seed)
    key = places((1 if one_key else number, keys), seed + 1)
    found = whole(bias, query, key)
    assert found.shape == (max(len(query.position), len(key.position)), HEADS, queries, keys)
    for n, h, i, j in torch.cartesian_prod(*(torch.arange(size) for size in found.shape)).tolist():
        one = bias.at(
            torch.tensor(h),
            query.map(lambda x, n=n, i=i: x[0 if one_query else n, i]),
            key.map(lambda x, n=n, j=j: x[0 if one_key else n, j]),
        )
        assert one.dim() == 0
        assert torch.equal(one, found[n, h, i, j])


@pytest.mark.parametrize("bias", BIASES, ids=NAMES)
def test_works_under_vmap(bias: Bias) -> None:
    query, key = places((1, 4), 0), places((1, 5), 1)

    def pair(head: Tensor, i: Tensor, j: Tensor) -> Tensor:
        return bias.at(head, query.map(lambda x: x[0, i]), key.map(lambda x: x[0, j]))

    over = torch.vmap(torch.vmap(torch.vmap(pair, (None, None, 0)), (None, 0, None)), (0, None, None))
    assert torch.equal(over(torch.arange(HEADS), torch.arange(4), torch.arange(5)), whole(bias, query, key)[0])


@pytest.mark.parametrize("bias", BIASES, ids=NAMES)
def test_sees_distances_alone_and_other_keys_change_nothing(bias: Bias) -> None:
    query, key = places((2, 4), 0), places((2, 6), 1)
    found = whole(bias, query, key)
    assert torch.equal(whole(bias, query, key.map(lambda x: x[:, :3])), found[..., :3])
    assert torch.equal(whole(bias, query.map(lambda x: x + 77), key.map(lambda x: x + 77)), found)


@pytest.mark.parametrize("examples", [1, 2])
@pytest.mark.parametrize("bias", BIASES[1:], ids=NAMES[1:])
def test_gradients_of_the_table(bias: BucketedBias, examples: int) -> None:
    query, key = places((examples, 4), 0), places((examples, 5), 1)
    weight = bias.weight.detach().clone().requires_grad_()

    def call(weight: Tensor) -> Tensor:
        arguments = (query.as_queries().map(lambda x: x[:, None]), key.as_keys().map(lambda x: x[:, None]))
        found: Tensor = torch.func.functional_call(bias, {"weight": weight}, arguments)
        return found

    assert torch.autograd.gradcheck(call, weight)
    pull = torch.randn(examples, HEADS, 4, 5, dtype=torch.float64)
    (fast,) = torch.autograd.grad(call(weight), weight, pull)
    (plain,) = torch.autograd.grad(Bias.forward(bias, *_pairs(query, key)), bias.weight, pull)
    torch.testing.assert_close(fast, plain)


def _pairs(query: Coordinates, key: Coordinates) -> tuple[Coordinates, Coordinates]:
    return query.as_queries().map(lambda x: x[:, None]), key.as_keys().map(lambda x: x[:, None])


def test_half_precision_sums_its_gradient_in_single() -> None:
    bias = RelativePosition(1, buckets=4, max_distance=2).to(torch.bfloat16)
    place = Coordinates(torch.zeros(1, 40, dtype=torch.int64))
    found = whole(bias, place, place)
    assert found.dtype == torch.bfloat16
    found.sum().backward()
    assert bias.weight.grad is not None
    assert bias.weight.grad[0].item() == 1600  # adding ones, bfloat16 comes to 256


def test_starts_by_saying_nothing() -> None:
    for bias in (RelativePosition(2), RelativeTime(2)):
        assert list(bias.state_dict()) == ["weight"]
        assert not bias.weight.any()
        assert not whole(bias, places((1, 3), 0), places((1, 3), 1)).any()


def test_layers_that_measure_alike_share_their_buckets_and_others_dont() -> None:
    alike = [RelativeTime(HEADS, buckets=12, unit=2.0) for _ in range(2)]
    others = [RelativeTime(HEADS, buckets=12, unit=3.0), RelativePosition(HEADS), RelativePosition(HEADS, buckets=8)]
    for bias in (*alike, *others):
        nn.init.normal_(bias.weight)
    query, key = places((2, 4), 0), places((2, 5), 1)
    buckets: dict[Hashable, Tensor] = {}
    for bias in (*alike, *others):
        formula = Formula(Dot(), Softmax(), None, [bias])
        expected = formula.bias(query, key)
        assert expected is not None
        torch.testing.assert_close(formula.bias(query, key, buckets), expected)
    assert len(buckets) == 1 + len(others)
