"""Decoding step by step gives what the whole sequence gives at once."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from saccade.models.attention.cache import DecodingCache
from saccade.models.attention.choice import AttentionChoice
from saccade.models.attention.masks import Causal
from saccade.models.encoder import Encoder
from saccade.models.jagged import Jagged, Layout
from saccade.models.registry import Choice

CHOICES = {
    "plain": AttentionChoice(),
    "rotary, two key heads": AttentionChoice(positions=(Choice.of("rotary"),), key_heads=2),
    "sparse, biased": AttentionChoice(
        normalizer=Choice.of("entmax15"), positions=(Choice.of("alibi"), Choice.of("relative_time"))
    ),
    "a window": AttentionChoice(score=Choice.of("additive"), masks=(Choice.of("window", before=2),)),
}


@pytest.mark.parametrize("block", ["transformer", "ligr", "hstu"])
@pytest.mark.parametrize("name", CHOICES)
@settings(max_examples=10)
@given(st.data())
@torch.inference_mode()
def test_steps_equal_the_whole(name: str, block: str, data: st.DataObject) -> None:
    torch.manual_seed(0)
    encoder = Encoder(8, 2, 4, 16, 0.1, 64, Causal(), CHOICES[name], Choice.of(block)).double().eval()
    examples = data.draw(st.integers(1, 4))
    steps = data.draw(st.lists(st.lists(st.integers(0, 9), min_size=examples, max_size=examples), max_size=6))
    lengths = torch.tensor(steps, dtype=torch.int64).view(-1, examples)
    total = lengths.sum(0)
    whole = Layout(total, time=torch.rand(int(total.sum()), dtype=torch.float64).cumsum(0) * 9)
    tokens = Jagged(torch.randn(whole.total, 8, dtype=torch.float64), whole)
    expected = Jagged(encoder(tokens), whole)

    cache = DecodingCache(layers=2)
    done = torch.zeros(examples, dtype=torch.int64)
    for step in lengths:
        piece = tokens.slice(whole.host_offsets[:-1] + done, step)
        layout = cache.layout(step, time=piece.layout.time)
        got = encoder(Jagged(piece.values, layout), cache)
        torch.testing.assert_close(got, expected.slice(whole.host_offsets[:-1] + done, step).values)
        done = done + step


def test_what_a_cache_can_not_do_is_said() -> None:
    encoder = Encoder(8, 1, 2, 16, 0.0, 64, Causal(), AttentionChoice(score=Choice.of("location_aware")))
    cache = DecodingCache(layers=1)
    tokens = Jagged(torch.randn(2, 8), cache.layout(torch.tensor([1, 1])))
    with pytest.raises(ValueError, match="LocationAware looks at the weights of all queries before: no cache"):
        encoder(tokens, cache)
    encoder = Encoder(8, 1, 2, 16, 0.0, 64, Causal())
    with torch.inference_mode():
        encoder(tokens, cache)
        with pytest.raises(ValueError, match="the cache holds 2 examples, the step has 1"):
            encoder(Jagged(torch.randn(1, 8), Layout(torch.tensor([1]), start=torch.tensor([1]))), cache)
