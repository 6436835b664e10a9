"""The bidirectional encoder."""

import torch

from saccade.models.encoder import Encoder
from saccade.models.jagged import Jagged


def test_every_token_sees_its_whole_example_and_no_other() -> None:
    torch.manual_seed(0)
    encoder = Encoder(8, blocks=1, heads=2, hidden=16, dropout=0.0)
    values = torch.randn(7, 8, requires_grad=True)
    tokens = Jagged(values, Jagged.pack([torch.zeros(4), torch.zeros(3)]).layout)
    (gradient,) = torch.autograd.grad(encoder(tokens)[0].square().sum(), values)
    assert (gradient.abs().sum(1) > 0).tolist() == [True] * 4 + [False] * 3
