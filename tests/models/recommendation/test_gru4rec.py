"""GRU4Rec over packed histories against torch's layer, run on each history by itself."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from saccade.models.jagged import Jagged, Layout
from saccade.models.packed import packing
from saccade.models.recommendation.gru4rec import GRU4Rec

DIM = 6
lengths_of_a_batch = st.lists(st.integers(0, 9), min_size=1, max_size=7)


def batch(lengths: list[int]) -> Jagged:
    layout = Layout(torch.tensor(lengths, dtype=torch.int64))
    rng = torch.Generator().manual_seed(0)
    return Jagged(torch.randn(layout.total, DIM, generator=rng, dtype=torch.float64), layout)


@settings(max_examples=30)
@given(lengths_of_a_batch)
def test_equals_torchs_layer_run_example_by_example(lengths: list[int]) -> None:
    torch.manual_seed(0)
    network, items = GRU4Rec(DIM, 5, 2, 0.0).double(), batch(lengths)
    ours_in, theirs_in = items.values.clone().requires_grad_(), items.values.clone().requires_grad_()
    ours = network(items.with_values(ours_in))
    examples = [e for e in (theirs_in * DIM**0.5).split(lengths) if len(e)]
    theirs = [network.output(network.gru(example)[0]) for example in examples]
    expected = torch.cat(theirs) if theirs else ours.new_zeros(0, DIM)
    torch.testing.assert_close(ours, expected)
    if not theirs:
        return
    weights = torch.randn_like(ours)
    gradients = torch.autograd.grad((ours * weights).sum(), [ours_in, *network.parameters()])
    wanted = torch.autograd.grad((expected * weights).sum(), [theirs_in, *network.parameters()])
    for found, want in zip(gradients, wanted, strict=True):
        torch.testing.assert_close(found, want)


@given(lengths_of_a_batch)
def test_packing_is_torchs_own(lengths: list[int]) -> None:
    items = batch(lengths)
    kept = [example for example in items.unpack() if len(example)]
    if not kept:
        return
    plan = items.layout.derive(packing)
    ours, theirs = plan.pack(items), torch.nn.utils.rnn.pack_sequence(kept, enforce_sorted=False)
    assert torch.equal(ours.data, theirs.data)
    assert torch.equal(ours.batch_sizes, theirs.batch_sizes)
    assert torch.equal(plan.unpack(ours), items.values)
