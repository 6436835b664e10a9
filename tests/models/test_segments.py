"""Sums, means, softmax and pooling inside each example."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from saccade.models.jagged import Jagged
from saccade.models.pooling import AttentionPooling
from saccade.models.segments import segment_mean, segment_softmax, segment_sum

LENGTHS = st.lists(st.integers(0, 7), min_size=1, max_size=6)


def packed(lengths: list[int], seed: int, *shape: int) -> Jagged:
    torch.manual_seed(seed)
    return Jagged.pack([torch.randn(n, *shape, dtype=torch.float64) for n in lengths])


@given(lengths=LENGTHS, seed=st.integers(0, 2**20))
@settings(max_examples=30, deadline=None)
def test_equal_what_each_example_gives_alone(lengths: list[int], seed: int) -> None:
    values = packed(lengths, seed, 3)
    sums, means = segment_sum(values.values, values.layout), segment_mean(values.values, values.layout)
    scores = values.with_values(values.values[:, 0] * 50)
    weights = scores.with_values(segment_softmax(scores.values, scores.layout)).unpack()
    for b, (example, score) in enumerate(zip(values.unpack(), scores.unpack(), strict=True)):
        torch.testing.assert_close(sums[b], example.sum(0))
        torch.testing.assert_close(means[b], example.mean(0) if len(example) else torch.zeros(3, dtype=torch.float64))
        torch.testing.assert_close(weights[b], score.softmax(0))


@given(lengths=LENGTHS, seed=st.integers(0, 2**20))
@settings(max_examples=30, deadline=None)
def test_attention_pooling_is_a_weighted_mean_of_the_example(lengths: list[int], seed: int) -> None:
    tokens = packed(lengths, seed, 4)
    pooling = AttentionPooling(4).double()
    pooled = pooling(tokens)
    for b, example in enumerate(tokens.unpack()):
        weights = pooling.score(example).squeeze(1).softmax(0)
        torch.testing.assert_close(pooled[b], weights @ example, atol=1e-6, rtol=1e-6)  # the weights are float32


def test_no_tokens_at_all_keep_the_graph() -> None:
    tokens = Jagged.pack([torch.zeros(0, 4, requires_grad=True)])
    pooling = AttentionPooling(4)
    pooled = pooling(tokens)
    assert pooled.tolist() == [[0.0] * 4]
    pooled.sum().backward()
    assert pooling.score.weight.grad is not None
