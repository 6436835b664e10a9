"""Sums, means and softmax inside each example of a packed batch; an example without tokens gives zeros."""

from __future__ import annotations

import torch
from torch import Tensor

from saccade.models.jagged import Layout


def segment_sum(values: Tensor, layout: Layout) -> Tensor:
    """[T, ...] -> [B, ...]: the sum over each example's tokens."""
    return values.new_zeros(len(layout), *values.shape[1:]).index_add(0, layout.example, values)


def segment_mean(values: Tensor, layout: Layout) -> Tensor:
    """[T, ...] -> [B, ...]: the mean over each example's tokens."""
    counts = layout.offsets.diff().clamp(min=1).to(values.dtype)
    return segment_sum(values, layout) / counts.view(-1, *[1] * (values.dim() - 1))


def segment_softmax(scores: Tensor, layout: Layout) -> Tensor:
    """[T] -> [T]: softmax over each example's tokens."""
    with torch.no_grad():  # a softmax doesn't change with what is taken off all its scores
        highest = scores.new_zeros(len(layout)).scatter_reduce(0, layout.example, scores, "amax", include_self=False)
    weights = (scores - highest[layout.example]).exp()
    return weights / segment_sum(weights, layout)[layout.example]
