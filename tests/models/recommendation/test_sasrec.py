import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from saccade.models.jagged import Jagged, Layout
from saccade.models.recommendation.sasrec import SASRec

DIM, LONGEST = 8, 12
lengths_of_a_batch = st.lists(st.integers(0, LONGEST), min_size=1, max_size=6)


def model() -> SASRec:
    torch.manual_seed(0)
    return SASRec(DIM, blocks=2, heads=2, hidden=16, dropout=0.3, max_length=LONGEST).double().eval()


def batch(lengths: list[int], seed: int = 0) -> Jagged:
    layout = Layout(torch.tensor(lengths, dtype=torch.int64))
    rng = torch.Generator().manual_seed(seed)
    return Jagged(torch.randn(layout.total, DIM, generator=rng, dtype=torch.float64), layout)


def same(left: Tensor, right: Tensor) -> None:
    torch.testing.assert_close(left, right, atol=1e-12, rtol=1e-9)


@settings(max_examples=25)
@given(st.data(), lengths_of_a_batch)
def test_sees_neither_the_future_nor_batch_mates(data: st.DataObject, lengths: list[int]) -> None:
    network, items = model(), batch(lengths)
    b = data.draw(st.integers(0, len(lengths) - 1))
    cut = data.draw(st.integers(0, lengths[b]))
    past = (items.layout.example == b) & (items.layout.position < cut)
    other = torch.where(past[:, None], items.values, items.values * 3 + 1)
    same(network(items.with_values(other))[past], network(items)[past])


def test_the_past_matters() -> None:
    network, items = model(), batch([6])
    other = items.values.clone()
    other[0] = torch.randn(DIM)
    moved = (network(items.with_values(other)) - network(items)).abs().amax(1)
    assert (moved > 1e-6).all()


@settings(max_examples=15)
@given(lengths_of_a_batch)
def test_a_batch_gives_what_each_example_gives_alone(lengths: list[int]) -> None:
    network, items = model(), batch(lengths)
    alone = [network(Jagged.pack([example])) for example in items.unpack()]
    same(network(items), torch.cat(alone))


@settings(max_examples=15)
@given(lengths_of_a_batch)
def test_gradients_are_finite(lengths: list[int]) -> None:
    network, items = model().train(), batch(lengths)
    values = items.values.requires_grad_()
    network(items).square().sum().backward()
    for tensor in [values, *network.parameters()]:
        assert tensor.grad is not None
        assert tensor.grad.isfinite().all()


def test_no_parameter_is_a_constant_of_the_loss() -> None:
    """A parameter whose gradient is zero in theory lets adaptive optimizers turn rounding noise into whole steps."""
    network = model()
    network(batch([5, 1, 12])).pow(3).sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None
        assert parameter.grad.abs().max() > 1e-9, name
