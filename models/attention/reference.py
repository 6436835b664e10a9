"""Attention as the formula reads, one example at a time: slow, any dtype, what every other backend is held to."""

from __future__ import annotations

import torch
from torch import Tensor

from saccade.models.jagged import Layout


def reference(query: Tensor, key: Tensor, value: Tensor, layout: Layout, *, causal: bool) -> Tensor:
    """softmax(Q Kᵀ / √D) V inside each example ("Attention Is All You Need", Vaswani et al. 2017, section 3.2.1).

    Args:
        query: [T, H, D], H heads, in any floating dtype.
        key: [T, H, D].
        value: [T, H, D].
        layout: which tokens belong to which example; tokens of different examples never meet.
        causal: a token attends to itself and those before it only.

    Returns:
        [T, H, D].
    """
    outputs = []
    for begin, end in zip(layout.host_offsets[:-1].tolist(), layout.host_offsets[1:].tolist(), strict=True):
        q, k, v = (x[begin:end].transpose(0, 1) for x in (query, key, value))
        scores = q @ k.transpose(1, 2) / query.shape[-1] ** 0.5
        if causal:
            future = torch.ones(end - begin, end - begin, dtype=torch.bool, device=query.device).triu(1)
            scores = scores.masked_fill(future, float("-inf"))
        outputs.append((scores.softmax(-1) @ v).transpose(0, 1))
    return torch.cat(outputs) if outputs else query
