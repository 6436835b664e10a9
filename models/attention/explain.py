"""Looking into a model's attention layers while it computes a batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from saccade.models.attention.attention import Attention


@contextmanager
def recorded_weights(network: nn.Module, examples: Sequence[int]) -> Iterator[dict[str, list[Tensor]]]:
    """Within it, every attention layer that is called leaves its weights.

        with recorded_weights(network, examples=[0, 3]) as weights:
            network(batch)
        weights["blocks.0.attention.attention"][1]  # [H, Lq, Lk] of example 3

    Args:
        network: any module with ``Attention`` in it.
        examples: places in the batch; the weights of the others aren't computed.
    """
    weights: dict[str, list[Tensor]] = {}
    handles = []
    for name, module in network.named_modules():
        if isinstance(module, Attention):

            def record(layer: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any], name: str = name) -> None:
                assert isinstance(layer, Attention)
                given = dict(zip(("query", "key"), inputs, strict=False)) | named
                with torch.no_grad():
                    weights[name] = layer.explain(given["query"], given["key"], examples)

            handles.append(module.register_forward_pre_hook(record, with_kwargs=True))
    try:
        yield weights
    finally:
        for handle in handles:
            handle.remove()
