"""The weights that a layer tells are those that it mixes values with."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.models.attention.formulas import MASKS, NORMALIZERS, SCORES, attention, heads, layout_of, lengths
from torch import Tensor, nn

from saccade.models.attention.attention import Attention
from saccade.models.attention.choice import AttentionChoice
from saccade.models.attention.explain import recorded_weights
from saccade.models.attention.masks.causal import Causal
from saccade.models.attention.masks.mask import Mask
from saccade.models.attention.multihead import MultiHeadAttention
from saccade.models.encoder import Encoder
from saccade.models.jagged import Jagged, Layout
from saccade.models.pooling import AttentionPooling, recorded_pooling
from saccade.models.registry import Choice
from saccade.models.text.classifier import TextClassifier


def mixed(weights: Tensor, value: Tensor) -> Tensor:
    """[H, Lq, Lk] and [Lk, G, E] -> [Lq, H, E]."""
    spread = value.repeat_interleave(weights.shape[0] // value.shape[1], dim=1).transpose(0, 1)
    return (weights @ spread).transpose(0, 1)


@pytest.mark.parametrize("backend", ["grouped", "reference"])
@pytest.mark.parametrize("score", SCORES)
@settings(max_examples=8)
@given(st.sampled_from(NORMALIZERS), st.sampled_from(MASKS), st.sampled_from([(2, 2), (4, 2)]), lengths)
def test_weights_times_values_are_the_output(
    backend: str, score: str, normalizer: str, mask: Mask | None, counts: tuple[int, int], sizes: list[int]
) -> None:
    layout = layout_of(sizes, 3)
    query, key, value = (heads(layout, n, i).detach() for i, n in enumerate((counts[0], counts[1], counts[1])))
    layer = attention(score, normalizer, mask, ["relative", "rotary"], backend, *counts)
    output = Jagged(layer(Jagged(query, layout), Jagged(key, layout), value), layout).unpack()
    examples = range(len(sizes))[::-2]
    weights = layer.explain(Jagged(query, layout), Jagged(key, layout), examples)
    values = Jagged(value, layout).unpack()
    for example, found in zip(examples, weights, strict=True):
        assert found.shape == (counts[0], sizes[example], sizes[example])
        torch.testing.assert_close(mixed(found, values[example]), output[example], atol=1e-9, rtol=1e-7)


def test_a_layer_tells_the_heads_that_are_asked_for() -> None:
    layout = Layout(torch.tensor([4, 0, 3]))
    tokens = Jagged(torch.randn(7, 12), layout)
    layer = MultiHeadAttention(12, 4, Attention(mask=Causal()), key_heads=2)
    every = layer.explain(tokens, examples=[2, 1, 0])
    assert [tuple(w.shape) for w in every] == [(4, 3, 3), (4, 0, 0), (4, 4, 4)]
    chosen = layer.explain(tokens, examples=[2], heads=[3, 1])
    assert torch.equal(chosen[0], every[0][[3, 1]])
    assert not chosen[0].requires_grad
    torch.testing.assert_close(every[2].sum(-1), torch.ones(4, 4))


def test_cross_attention_tells_its_own_sizes() -> None:
    layer = MultiHeadAttention(8, 2, memory_dim=6)
    tokens = Jagged(torch.randn(3, 8), Layout(torch.tensor([1, 2])))
    memory = Jagged(torch.randn(9, 6), Layout(torch.tensor([5, 4])))
    assert [tuple(w.shape) for w in layer.explain(tokens, memory, examples=[0, 1])] == [(2, 1, 5), (2, 2, 4)]


@pytest.mark.parametrize("backend", ["grouped", "reference"])
@pytest.mark.parametrize("block", ["transformer", "ligr", "hstu"])
def test_what_is_recorded_is_what_every_layer_does(block: str, backend: str) -> None:
    options = {"backend": backend} if block == "hstu" else {}
    choice = AttentionChoice(positions=[Choice.of("alibi")], backend=backend)
    encoder = Encoder(8, 3, 2, 16, 0.1, 20, Causal(), choice, Choice(block, options)).double().eval()
    layout = Layout(torch.tensor([6, 2, 5]))
    tokens = Jagged(torch.randn(13, 8, dtype=torch.float64), layout)
    seen: dict[str, tuple[Tensor, Tensor]] = {}
    for name, module in encoder.named_modules():
        if isinstance(module, Attention):
            keep = lambda _, given, output, name=name: seen.update({name: (given[2], output)})  # noqa: E731
            module.register_forward_hook(keep)
    with recorded_weights(encoder, examples=[2, 0]) as weights:
        encoder(tokens)
    assert list(weights) == list(seen)
    assert len(weights) == 3
    for name, (value, output) in seen.items():
        for example, found in zip((2, 0), weights[name], strict=True):
            mine = mixed(found, Jagged(value, layout).unpack()[example])
            torch.testing.assert_close(mine, Jagged(output, layout).unpack()[example])


def test_nothing_is_recorded_afterwards() -> None:
    encoder = Encoder(8, 1, 2, 16, 0.0)
    tokens = Jagged(torch.randn(3, 8), Layout(torch.tensor([3])))
    with recorded_weights(encoder, examples=[0]) as weights:
        pass
    encoder(tokens)
    assert weights == {}
    with pytest.raises(RuntimeError, match="broken"), recorded_weights(encoder, examples=[0]):
        raise RuntimeError("broken")
    assert not any(module._forward_pre_hooks for module in encoder.modules())


def test_a_text_models_layers_and_pooling() -> None:
    model = TextClassifier(
        classes=3, dim=8, blocks=2, heads=2, hidden=16, dropout=0.1, token_dropout=0.1, reach=1, max_length=6
    ).eval()
    layout = Layout(torch.tensor([4, 0, 6]))
    tokens = Jagged(torch.randn(10, 8), layout)
    pooled: list[tuple[Jagged, Tensor]] = []
    (pooling,) = (module for module in model.modules() if isinstance(module, AttentionPooling))
    pooling.register_forward_hook(lambda _, given, output: pooled.append((given[0], output)))
    with recorded_weights(model, [0, 2]) as weights, recorded_pooling(model, [2, 1]) as pools:
        model(tokens)
    assert [tuple(w.shape) for w in weights["classifier.encoder.blocks.1.attention.attention"]] == [
        (2, 4, 4),
        (2, 6, 6),
    ]
    last, nothing = pools["classifier.pooling"]
    assert nothing.shape == (0,)
    torch.testing.assert_close(last.sum(), torch.tensor(1.0))
    torch.testing.assert_close(last @ pooled[0][0].unpack()[2], pooled[0][1][2])


def test_a_network_without_attention_records_nothing() -> None:
    network = nn.Linear(2, 2)
    with recorded_weights(network, [0]) as weights, recorded_pooling(network, [0]) as pools:
        network(torch.zeros(1, 2))
    assert weights == pools == {}
