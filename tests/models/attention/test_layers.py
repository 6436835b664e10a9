"""The layers around a backend: multi-head attention, positions, and the block."""

import math

import pytest
import torch
from torch import nn

from saccade.models.attention.backends import BACKENDS
from saccade.models.attention.block import AttentionBlock
from saccade.models.attention.multihead import MultiHeadAttention
from saccade.models.attention.positions import LearnedPositions, SinusoidalPositions
from saccade.models.jagged import Jagged, Layout

LAYOUT = Layout(torch.tensor([5, 0, 1, 3, 5]))


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("backend_name", sorted(BACKENDS))
def test_multihead_equals_torch_with_the_same_weights(backend_name: str, causal: bool) -> None:
    ours = MultiHeadAttention(12, 3, causal=causal, backend_name=backend_name).double()
    torchs = nn.MultiheadAttention(12, 3, bias=False, batch_first=True).double()
    torchs.in_proj_weight.data.copy_(ours.projection.weight)
    torchs.out_proj.weight.data.copy_(ours.output.weight)
    tokens = Jagged(torch.randn(LAYOUT.total, 12, dtype=torch.float64), LAYOUT)
    expected = []
    for x in tokens.unpack():
        future = torch.ones(len(x), len(x), dtype=torch.bool).triu(1) if causal else None
        expected.append(torchs(x, x, x, attn_mask=future, need_weights=False)[0] if len(x) else x)
    torch.testing.assert_close(ours(tokens), torch.cat(expected))


def test_multihead_refuses_heads_that_do_not_divide() -> None:
    with pytest.raises(ValueError, match="dim=10 can't be split into heads=3"):
        MultiHeadAttention(10, 3, causal=True)


def test_a_block_takes_a_batch_without_tokens() -> None:
    values = torch.zeros(0, 8, requires_grad=True)
    block = AttentionBlock(8, 2, 16, 0.1, causal=True)
    output = block(Jagged(values, Layout(torch.zeros(2, dtype=torch.int64)))).values
    output.sum().backward()
    assert output.shape == (0, 8)
    assert all(p.grad is not None and not p.grad.any() for p in block.parameters())


@pytest.mark.parametrize(("reversed_", "expected"), [(False, [0, 1, 2, 0, 0, 1]), (True, [2, 1, 0, 0, 1, 0])])
def test_learned_positions_count_from_either_end(reversed_: bool, expected: list[int]) -> None:
    positions = LearnedPositions(4, 3, reversed=reversed_)
    found = positions(Layout(torch.tensor([3, 0, 1, 2])))
    assert torch.equal(found, positions.weight[expected])


def test_learned_positions_refuse_a_longer_example() -> None:
    with pytest.raises(ValueError, match="an example has 5 tokens, but there are 4 positions"):
        LearnedPositions(4, 3)(LAYOUT)


def test_sinusoidal_positions_are_the_formula() -> None:
    found = SinusoidalPositions(6)(LAYOUT)
    for token, pos in enumerate(LAYOUT.position.tolist()):
        for i in range(3):
            angle = pos / 10000 ** (2 * i / 6)
            assert found[token, 2 * i].item() == pytest.approx(math.sin(angle), abs=1e-6)
            assert found[token, 2 * i + 1].item() == pytest.approx(math.cos(angle), abs=1e-6)
