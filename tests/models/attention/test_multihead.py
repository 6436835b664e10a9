"""Multi-head attention against torch's own, with other key heads, and over another sequence."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from saccade.models.attention.attention import Attention
from saccade.models.attention.masks import Causal
from saccade.models.attention.multihead import MultiHeadAttention
from saccade.models.attention.positions.learned import LearnedPositions
from saccade.models.attention.scores.scaled_dot import ScaledDot
from saccade.models.jagged import Jagged, Layout

LAYOUT = Layout(torch.tensor([5, 0, 1, 3, 5]))
BACKENDS = ["auto", "grouped", "reference"]


def tokens(layout: Layout, dim: int, seed: int = 0) -> Jagged:
    return Jagged(
        torch.randn(layout.total, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64), layout
    )


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("backend", BACKENDS)
def test_takes_over_the_weights_of_torchs_own(backend: str, causal: bool, bias: bool) -> None:
    theirs = nn.MultiheadAttention(12, 3, bias=bias, batch_first=True).double()
    if bias:
        nn.init.normal_(theirs.in_proj_bias)
        nn.init.normal_(theirs.out_proj.bias)
    ours = MultiHeadAttention.from_torch(theirs, Attention(mask=Causal() if causal else None, backend=backend))
    batch = tokens(LAYOUT, 12)
    expected, weights = [], []
    for x in batch.unpack():
        future = torch.ones(len(x), len(x), dtype=torch.bool).triu(1) if causal else None
        output, weight = theirs(x, x, x, attn_mask=future, average_attn_weights=False) if len(x) else (x, x)
        expected.append(output)
        weights.append(weight)
    torch.testing.assert_close(ours(batch), torch.cat(expected))
    explained = ours.explain(batch, examples=[0, 3], heads=[2, 0])
    torch.testing.assert_close(explained, [weights[0][[2, 0]], weights[3][[2, 0]]])


@pytest.mark.parametrize("key_heads", [1, 2, 4])
@pytest.mark.parametrize("backend", BACKENDS)
def test_query_heads_share_key_heads_as_in_torchs_kernel(backend: str, key_heads: int) -> None:
    layer = MultiHeadAttention(16, 4, Attention(mask=Causal(), backend=backend), key_heads=key_heads).double()
    batch = tokens(LAYOUT, 16)
    expected: list[Tensor] = []
    for x in batch.unpack():
        q, k, v = layer.projection(x).split([16, 4 * key_heads, 4 * key_heads], dim=-1)
        q, k, v = (t.unflatten(-1, (-1, 4)).transpose(0, 1) for t in (q, k, v))
        attended = scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True) if len(x) else q
        expected.append(layer.output(attended.transpose(0, 1).flatten(1)))
    torch.testing.assert_close(layer(batch), torch.cat(expected))


@pytest.mark.parametrize("backend", BACKENDS)
def test_cross_attention_as_torchs_kernel(backend: str) -> None:
    memory = tokens(Layout(torch.tensor([2, 3, 7, 0, 1])), 6, seed=1)
    batch = tokens(LAYOUT, 8)
    layer = MultiHeadAttention(8, 2, Attention(backend=backend), memory_dim=6).double()
    expected = []
    for x, m in zip(batch.unpack(), memory.unpack(), strict=True):
        q = layer.query(x).unflatten(-1, (2, 4)).transpose(0, 1)
        k, v = layer.memory(m).unflatten(-1, (2, 2, 4)).permute(1, 2, 0, 3)
        attended = scaled_dot_product_attention(q, k, v) if len(m) else torch.zeros_like(q)
        expected.append(layer.output(attended.transpose(0, 1).flatten(1)))
    torch.testing.assert_close(layer(batch, memory), torch.cat(expected))


def test_target_attention_is_one_query_over_a_history() -> None:
    history = tokens(Layout(torch.tensor([4, 0, 9])), 8)
    target = tokens(Layout(torch.ones(3, dtype=torch.int64)), 8, seed=2)
    layer = MultiHeadAttention(8, 2, memory_dim=8).double()
    output = layer(target, history)
    assert output.shape == (3, 8)
    assert not output[1].any()  # nothing to attend to
    (weights,) = layer.explain(target, history, examples=[2])
    assert weights.shape == (2, 1, 9)
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 1, dtype=torch.float64))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dim": 10, "heads": 3}, "dim=10 can't be split into heads=3"),
        ({"dim": 12, "heads": 4, "key_heads": 3}, "key_heads=3 can't serve heads=4"),
        ({"dim": 12, "heads": 4, "key_heads": 0}, "key_heads=0 can't serve heads=4"),
    ],
)
def test_heads_that_do_not_divide_are_refused(arguments: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MultiHeadAttention(**arguments)


def test_wrong_parts_are_refused() -> None:
    with pytest.raises(ValueError, match="LearnedPositions acts on tokens before the first layer"):
        Attention(positions=[LearnedPositions(4, 8)])
    with pytest.raises(ValueError, match="no attention backend 'flash': choose one of auto, varlen, flex, grouped"):
        Attention(backend="flash")
    with pytest.raises(ValueError, match="takes no memory"):
        MultiHeadAttention(8, 2)(tokens(LAYOUT, 8), tokens(LAYOUT, 8))
    attention = Attention(ScaledDot())
    heads = tokens(LAYOUT, 8).with_values(torch.zeros(LAYOUT.total, 2, 4))
    other = Jagged(torch.zeros(3, 2, 4), Layout(torch.tensor([3])))
    with pytest.raises(ValueError, match="queries of 5 examples can't attend to keys of 1"):
        attention(heads, other, other.values)


def test_torchs_layer_with_rows_of_its_own_is_refused() -> None:
    with pytest.raises(ValueError, match="add_bias_kv"):
        MultiHeadAttention.from_torch(nn.MultiheadAttention(8, 2, add_bias_kv=True))
