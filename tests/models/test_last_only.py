"""A layout that only its last tokens are asked of spares the others, and changes nothing for the last ones."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from saccade.models.attention.choice import FROM_END, AttentionChoice
from saccade.models.attention.masks.causal import Causal
from saccade.models.encoder import Encoder
from saccade.models.jagged import Jagged, Layout, last_tokens
from saccade.models.recommendation.sasrec import SASRec
from saccade.models.registry import Choice, register


def difference(network: nn.Module, lengths: list[int]) -> float:
    layout = Layout(torch.tensor(lengths, dtype=torch.int64))
    tokens = Jagged(torch.randn(layout.total, 8), layout)
    with torch.inference_mode():
        index = last_tokens(layout)
        everything = network(tokens)[index]
        alone = network(Jagged(tokens.values, layout.for_last()))[index]
    return float((everything - alone).abs().max()) if len(index) else 0.0


@given(lengths=st.lists(st.integers(0, 9), max_size=6), blocks=st.integers(0, 2))
def test_sasrec(lengths: list[int], blocks: int) -> None:
    assert difference(SASRec(8, blocks, 2, 16, 0.1, 9).eval(), lengths) < 1e-5


@pytest.mark.parametrize(
    "attention",
    [
        AttentionChoice(positions=(Choice.of("rotary"),)),
        AttentionChoice(positions=(Choice.of("alibi"),)),
        AttentionChoice(masks=(Choice.of("window", before=3),)),
        AttentionChoice(score=Choice.of("additive"), normalizer=Choice.of("sparsemax")),
        AttentionChoice(score=Choice.of("location_aware")),
        AttentionChoice(key_heads=1, positions=(Choice.of("relative"),)),
    ],
    ids=str,
)
@pytest.mark.parametrize("norm", ["pre", "post"])
@pytest.mark.parametrize("causal", [True, False])
def test_parts(attention: AttentionChoice, norm: str, causal: bool) -> None:
    block = Choice.of("transformer", norm=norm)
    mask = Causal() if causal else None
    try:
        network = Encoder(8, 2, 2, 16, 0.0, 9, mask, attention, block).eval()
    except ValueError as error:
        pytest.skip(str(error))
    assert difference(network, [9, 1, 0, 4, 9]) < 1e-5


@pytest.mark.parametrize("block", [Choice.of("ligr"), Choice.of("hstu"), Choice.of("hstu", time_buckets=4)], ids=str)
@pytest.mark.parametrize("causal", [True, False])
def test_blocks(block: Choice, causal: bool) -> None:
    options = {} if block.name == "hstu" else {"hidden": 16, "attention": FROM_END}
    mask = Causal() if causal else None
    network = nn.ModuleList([block.build("block", dim=8, heads=2, dropout=0.1, max_length=9, mask=mask, **options)])
    lengths = torch.tensor([9, 1, 0, 4, 9])
    layout = Layout(lengths, time=torch.arange(int(lengths.sum())) ** 2)
    tokens = Jagged(torch.randn(layout.total, 8), layout)
    with torch.inference_mode():
        everything, alone = network.eval()[0](tokens).last(), network[0](tokens, only_last=True)
    assert float((everything.values - alone.values).abs().max()) < 1e-5
    assert torch.equal(alone.layout.position, torch.tensor([8, 0, 3, 8]))


@register("block", "foreign")
class Foreign(nn.Module):
    """A block of somebody who never heard of last tokens."""

    def __init__(self, dim: int) -> None:
        super().__init__()

    def forward(self, tokens: Jagged) -> Jagged:
        return tokens.with_values(tokens.values * 2)


def test_foreign_blocks_compute_everything() -> None:
    network = Encoder(8, 2, 2, 16, 0.0, 9, block=Choice.of("foreign")).eval()
    assert difference(network, [3, 9, 1]) == 0.0
