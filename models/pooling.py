"""From the tokens of each example to one vector."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from saccade.models.jagged import Jagged
from saccade.models.segments import segment_softmax, segment_sum


class AttentionPooling(nn.Module):
    """A mean of each example's tokens, weighted by the softmax of a learned score.

    ("A Structured Self-attentive Sentence Embedding", Lin et al. 2017, with one linear hop.) The score has no bias: a
    softmax takes it out again.
    """

    def __init__(self, dim: int) -> None:
        """``dim`` features a token."""
        super().__init__()
        self.score = nn.Linear(dim, 1, bias=False)

    def forward(self, tokens: Jagged) -> Tensor:
        """[T, D] -> [B, D]; zeros for an example without tokens."""
        return segment_sum(self.weights(tokens)[:, None] * tokens.values, tokens.layout)

    def weights(self, tokens: Jagged) -> Tensor:
        """[T, D] -> [T]: what each token counts for, float32; those of an example sum to 1."""
        return segment_softmax(self.score(tokens.values).squeeze(1).float(), tokens.layout)


@contextmanager
def recorded_pooling(network: nn.Module, examples: Sequence[int]) -> Iterator[dict[str, list[Tensor]]]:
    """Within it, every attention pooling that is called leaves its weights.

        with recorded_pooling(network, examples=[0, 3]) as weights:
            network(batch)
        weights["classifier.pooling"][1]  # [length] of example 3

    Args:
        network: any module with ``AttentionPooling`` in it.
        examples: places in the batch.
    """
    weights: dict[str, list[Tensor]] = {}
    handles = []
    for name, module in network.named_modules():
        if isinstance(module, AttentionPooling):

            def record(layer: nn.Module, inputs: tuple[Any, ...], name: str = name) -> None:
                assert isinstance(layer, AttentionPooling)
                (tokens,) = inputs
                with torch.no_grad():
                    of_each = tokens.with_values(layer.weights(tokens)).unpack()
                weights[name] = [of_each[example] for example in examples]

            handles.append(module.register_forward_pre_hook(record))
    try:
        yield weights
    finally:
        for handle in handles:
            handle.remove()
