"""Blocks: the Transformer's against torch's own, HSTU's against its formulas."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm, silu

from saccade.models.attention.block import AttentionBlock
from saccade.models.attention.choice import AttentionChoice
from saccade.models.attention.coordinates import Coordinates
from saccade.models.attention.hstu import HSTU
from saccade.models.attention.ligr import LiGR
from saccade.models.attention.masks import Causal
from saccade.models.jagged import Jagged, Layout
from saccade.models.registry import Choice, RegistryError

LENGTHS = torch.tensor([5, 0, 1, 3, 9])
TIME = torch.rand(18, generator=torch.Generator().manual_seed(1), dtype=torch.float64).cumsum(0) * 100
LAYOUT = Layout(LENGTHS, time=TIME)


def batch(dim: int) -> Jagged:
    return Jagged(torch.randn(18, dim, generator=torch.Generator().manual_seed(0), dtype=torch.float64), LAYOUT)


@pytest.mark.parametrize("norm", ["pre", "post"])
@pytest.mark.parametrize("activation", ["gelu", "relu"])
def test_equals_torchs_layer_with_the_same_weights(norm: str, activation: str) -> None:
    theirs = nn.TransformerEncoderLayer(
        8, 2, 16, 0.0, activation, batch_first=True, norm_first=norm == "pre", dtype=torch.float64
    )
    nn.init.zeros_(theirs.self_attn.in_proj_bias)
    nn.init.zeros_(theirs.self_attn.out_proj.bias)
    ours = AttentionBlock(8, 2, 16, 0.0, mask=Causal(), norm=norm, activation=activation).double()  # type: ignore[arg-type]
    ours.load_state_dict(
        {
            "attention_norm.weight": theirs.norm1.weight,
            "attention_norm.bias": theirs.norm1.bias,
            "mlp_norm.weight": theirs.norm2.weight,
            "mlp_norm.bias": theirs.norm2.bias,
            "attention.projection.weight": theirs.self_attn.in_proj_weight,
            "attention.output.weight": theirs.self_attn.out_proj.weight,
            "mlp.up.weight": theirs.linear1.weight,
            "mlp.up.bias": theirs.linear1.bias,
            "mlp.down.weight": theirs.linear2.weight,
            "mlp.down.bias": theirs.linear2.bias,
        }
    )
    expected = []
    for x in batch(8).unpack():
        future = torch.ones(len(x), len(x), dtype=torch.bool).triu(1)
        expected.append(theirs(x[None], src_mask=future)[0] if len(x) else x)
    torch.testing.assert_close(ours(batch(8)).values, torch.cat(expected))


def test_a_gate_multiplies_what_goes_up() -> None:
    block = AttentionBlock(8, 2, 16, 0.0, activation="silu", gated=True).double()
    x = batch(8).values
    up, gate = block.mlp.up(x)
    torch.testing.assert_close(block.mlp(x), block.mlp.down(silu(gate) * up))


@pytest.mark.parametrize("block", ["transformer", "ligr", "hstu"])
def test_a_batch_without_tokens_gives_every_parameter_a_gradient(block: str) -> None:
    made = Choice.of(block).build(
        "block", dim=8, heads=2, hidden=16, dropout=0.1, max_length=4, mask=Causal(), attention=AttentionChoice()
    )
    values = torch.zeros(0, 8, requires_grad=True)
    output = made(Jagged(values, Layout(torch.zeros(2, dtype=torch.int64)))).values
    output.sum().backward()
    assert output.shape == (0, 8)
    assert all(p.grad is not None and not p.grad.any() for p in made.parameters())


def test_ligr_is_its_formulas() -> None:
    """Each branch times the sigmoid of a projection of what it was given; the feed-forward network is SwiGLU."""
    block = LiGR(8, 2, 16, 0.0, mask=Causal()).double()
    tokens = batch(8)
    x = tokens.values
    y = x + torch.sigmoid(block.attention_gate(x)) * block.attention(tokens.with_values(block.attention_norm(x)))
    up, gate = block.mlp.up(block.mlp_norm(y))
    z = y + torch.sigmoid(block.mlp_gate(y)) * block.mlp.down(silu(gate) * up)
    torch.testing.assert_close(block(tokens).values, z)


def test_a_closed_gate_lets_nothing_through() -> None:
    block = LiGR(8, 2, 16, 0.0, mask=Causal()).double()
    for gate in (block.attention_gate, block.mlp_gate):
        torch.nn.init.constant_(gate.bias, -1e3)
    torch.testing.assert_close(block(batch(8)).values, batch(8).values)


def test_hstu_is_its_formulas() -> None:
    """A literal transcription of Zhai et al. 2024, equations 1 to 3, one example, head and pair at a time."""
    heads, width, longest = 2, 3, 12
    block = HSTU(8, heads, 0.0, longest, Causal(), head_dim=width, buckets=8, time_buckets=16, time_unit=2.0).double()
    places, times = block.attention.biases
    for table in (places.weight, times.weight):
        nn.init.normal_(table)
    expected: list[Tensor] = []
    for x, time in zip(batch(8).unpack(), TIME.split(LENGTHS.tolist()), strict=True):
        normed = layer_norm(x, (8,), block.norm.weight, block.norm.bias)
        u, v, q, k = silu(block.projection(normed)).split(heads * width, dim=-1)
        rows = []
        for i in range(len(x)):
            parts = []
            for h in range(heads):
                own = slice(h * width, (h + 1) * width)
                total = torch.zeros(width, dtype=torch.float64)
                for j in range(i + 1):
                    head, here, there = (
                        torch.tensor(h),
                        Coordinates(torch.tensor(i), time[i]),
                        Coordinates(torch.tensor(j), time[j]),
                    )
                    bias = places.at(head, here, there) + times.at(head, here, there)
                    total = total + silu(q[i, own] @ k[j, own] + bias) / longest * v[j, own]
                parts.append(total)
            rows.append(torch.cat(parts))
        if rows:
            attended = torch.stack(rows)
            expected.append(x + block.output(layer_norm(attended, (heads * width,)) * u))
    torch.testing.assert_close(block(batch(8)).values, torch.cat(expected))


def test_hstu_divides_by_the_configured_length_not_the_batchs() -> None:
    block = HSTU(8, 2, 0.0, 50).double().eval()
    alone = block(Jagged(batch(8).values[:5], Layout(torch.tensor([5])))).values
    torch.testing.assert_close(block(batch(8)).values[:5], alone)


def test_wrong_options_are_named() -> None:
    with pytest.raises(ValueError, match="norm='middle': choose pre or post"):
        AttentionBlock(8, 2, 16, 0.0, norm="middle")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="activation='tanh': choose one of gelu, relu, silu"):
        AttentionBlock(8, 2, 16, 0.0, activation="tanh")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="dim=8 can't be split into heads=3"):
        HSTU(8, 3, 0.0, 10)
    with pytest.raises(RegistryError, match="no score 'dots': choose one of additive"):
        AttentionChoice(score=Choice.of("dots")).layer(8, 2, 10)
    with pytest.raises(RegistryError, match="normalizer softmax: no option 'heat'; it takes temperature, soft_cap"):
        AttentionChoice(normalizer=Choice.of("softmax", heat=1)).layer(8, 2, 10)
