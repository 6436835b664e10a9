"""Softmax attention of one group of short sequences by batched products of matrices.

The weights are small enough to be kept for the backward pass, and every matrix is still in the cache when the next step
takes it.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import torch
from torch import Tensor

from saccade.models.attention.backends.kernel_mask import KernelMask
from saccade.models.products import write_product

SHORT = 96
"""Groups with at most so many padded keys are computed by batched products."""

SHORT_CAUSAL = 320
"""The same under a causal mask: pieces of the queries leave out keys that none of them sees; the flash kernel leaves
out whole blocks of 512 only."""

PIECE = 64
"""Queries of a piece at most."""

FEW = 16
"""Rows of fewer numbers fill no vector: torch's softmax takes them one number at a time, 5 to 7 times as long."""


def is_short(keys: int, mask: KernelMask) -> bool:
    """Whether a group goes by batched products; the flash kernel knows no query that sees nothing."""
    return keys <= (SHORT_CAUSAL if mask.causal else SHORT) or mask.blind


def pieces(queries: int, keys: int, causal: bool) -> list[tuple[slice, slice]]:
    """Runs of queries and the keys that each may see; the last run sees all. Without a causal mask there is one."""
    if not causal:
        return [(slice(0, queries), slice(0, keys))]
    size = -(-queries // -(-queries // PIECE))
    ends = [min(begin + size, queries) for begin in range(0, queries, size)]
    return [(slice(begin, end), slice(0, end)) for begin, end in zip([0, *ends], ends, strict=False)]


def forward(q: Tensor, k: Tensor, v: Tensor, o: Tensor, mask: KernelMask, scale: float) -> list[Tensor]:
    """Write a group's output, and return its pieces' weights [N H, C, keys]."""
    kept = []
    for rows, columns in pieces(q.shape[1], k.shape[1], mask.causal):
        scores = _scaled(_cut(q, rows), _cut(k, columns), scale)
        if mask.causal:
            _cut(scores.transpose(1, 2), rows).add_(_future(rows.stop - rows.start, scores.dtype))
        elif mask.added is not None:
            scores.view(len(mask.added), -1, *scores.shape[1:]).add_(mask.added)
        weights = _softmax_(scores)
        if mask.blind and mask.added is not None:
            weights.unflatten(0, (len(mask.added), -1)).masked_fill_(mask.added != 0, 0.0)
        write_product(_cut(o, rows), weights, _cut(v, columns))
        kept.append(weights)
    return kept


def backward(
    given: tuple[Tensor, Tensor, Tensor, Tensor],
    found: tuple[Tensor, Tensor, Tensor],
    kept: Iterator[Tensor],
    mask: KernelMask,
    scale: float,
) -> None:
    """Write a group's gradients, from queries, keys, values, the output's gradient and the pieces' weights.

    The gradients may take the place of what is given: those of queries that of queries, of keys that of values, and of
    values that of keys. So the products come in this order.
    """
    (q, k, v, g), (dq, dk, dv) = given, found
    of_key = of_value = None
    for rows, columns in pieces(q.shape[1], k.shape[1], mask.causal):
        last = columns.stop == k.shape[1]
        weights, queries, gradients = next(kept), _cut(q, rows), _cut(g, rows)
        inner = _softmax_gradient_(_scaled(gradients, _cut(v, columns), scale), weights)
        of_key = _more(of_key, inner, queries, dk if last else None)
        write_product(_cut(dq, rows), inner, _cut(k, columns))
        of_value = _more(of_value, weights, gradients, dv if last else None)


def _more(sofar: Tensor | None, first: Tensor, second: Tensor, out: Tensor | None) -> Tensor:
    """firstᵀ second, and in its first places also the sum so far."""
    total = first.new_empty(len(first), first.shape[2], second.shape[2]) if out is None else out
    write_product(total, first.transpose(1, 2), second)
    if sofar is not None:
        total[:, : sofar.shape[1]].add_(sofar)
    return total


@cache
def _future(size: int, dtype: torch.dtype) -> Tensor:
    """[keys, queries] of a piece: -inf where the key comes later."""
    return torch.full((size, size), float("-inf"), dtype=dtype, device="cpu").tril_(-1)


def _cut(values: Tensor, part: slice) -> Tensor:
    """Places of every example; all of them as they are, since a view takes time as well."""
    return values if part.stop - part.start == values.shape[1] else values[:, part]


def _scaled(first: Tensor, second: Tensor, scale: float) -> Tensor:
    """``scale`` · first secondᵀ."""
    room = first.new_empty(first.shape[0], first.shape[1], second.shape[1])
    return write_product(room, first, second.transpose(1, 2), scale=scale)


def _softmax_(scores: Tensor) -> Tensor:
    """Over the last dimension, in place: a score matrix that is still in the cache needn't be written twice."""
    if scores.shape[-1] >= FEW:
        weights: Tensor = torch.ops.aten._softmax.out(scores, -1, False, out=scores)
        return weights
    scores.sub_(scores.amax(-1, keepdim=True)).exp_()
    return scores.div_(scores.sum(-1, keepdim=True))


def _softmax_gradient_(gradient: Tensor, weights: Tensor) -> Tensor:
    """In place, from the gradient by weights to that by scores."""
    if weights.shape[-1] >= FEW:
        inner: Tensor = torch.ops.aten._softmax_backward_data.out(
            gradient, weights, -1, weights.dtype, grad_input=gradient
        )
        return inner
    gradient.mul_(weights)
    return gradient.addcmul_(weights, gradient.sum(-1, keepdim=True), value=-1)
