"""Softmax attention over groups on a CPU, forward and backward as one function.

Between packed tokens and groups each tensor is gathered once, and results are written where they belong: what autograd
makes of the same steps (slices, concatenations, sums of zeros) takes half as long again. Groups of short sequences, for
which torch's flash kernel makes many calls of tiny matrix products, are computed by batched ones, whose weights are
small enough to be kept; long ones by the flash kernel, which keeps none. 1,024 sentences of 12 words on average, 4
heads of 32, two cores, forward and backward: 23 ms by the flash kernel alone, 15 with batched products; 128 histories
of at most 200 items, causal: 51 and 44 (``python benchmarks/attention.py``, and with SHORT and SHORT_CAUSAL at 0).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from saccade.models.attention.backends.grouping import Grouping

SHORT = 96
"""Groups with at most so many padded keys are computed by batched products."""

SHORT_CAUSAL = 320
"""The same under a causal mask: pieces of the queries leave out keys that none of them sees; the flash kernel leaves
out whole blocks of 512 only."""

PIECE = 64
"""Queries of a piece at most."""

FEW = 16
"""Rows of fewer numbers fill no vector."""

flash_forward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
flash_backward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward


@dataclass(frozen=True, eq=False)
class KernelMask:
    """What a group's queries may not see, in the kernel's own terms.

    Attributes:
        causal: each query sees itself and what is before it, and nothing else need be said.
        added: what is added to the scores, 0 or -inf, broadcastable to [N, H, Lq, Lk]; None for nothing.
        blind: whether some query sees nothing.
    """

    causal: bool
    added: Tensor | None
    blind: bool


def has_kernel(tokens: Tensor) -> bool:
    """Whether this kernel takes them: half precision is left to torch's, which sums it in float32."""
    return tokens.device.type == "cpu" and tokens.dtype in (torch.float32, torch.float64)


def softmax_attention(
    query: Tensor, key: Tensor, value: Tensor, plan: Grouping, masks: Sequence[KernelMask], scale: float
) -> Tensor:
    """softmax(scale · q kᵀ) v over the groups of ``plan``: [T, H, D], [S, G, D] and [S, G, E] -> [T, H, E]."""
    heads = query.shape[1]
    if key.shape[1] != heads:
        key, value = (x.repeat_interleave(heads // x.shape[1], dim=1) for x in (key, value))
    three = projection_of(query, key, value)
    inputs = (query, key, value) if three is None else (three,)
    attended: Tensor = _SoftmaxAttention.apply(plan, masks, scale, *inputs)  # type: ignore[no-untyped-call]
    return attended


def projection_of(query: Tensor, key: Tensor, value: Tensor) -> Tensor | None:
    """The one contiguous tensor [T, 3, H, D] that queries, keys and values are views of, if there is one.

    Taken as that, three gathers are one, and their gradients need not be put together again.
    """
    base = query._base
    if base is None or key._base is not base or value._base is not base or not base.is_contiguous():
        return None
    tokens, heads, dim = query.shape
    own = heads * dim
    same = query.shape == key.shape == value.shape and query.stride() == key.stride() == value.stride()
    begins = [x.storage_offset() - base.storage_offset() for x in (query, key, value)]
    if (
        not same
        or base.numel() != 3 * tokens * own
        or query.stride() != (3 * own, dim, 1)
        or begins != [0, own, 2 * own]
    ):
        return None
    return base.view(tokens, 3, heads, dim)


class _SoftmaxAttention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, plan: Grouping, masks: Sequence[KernelMask], scale: float, *inputs: Tensor) -> Tensor:
        heads = inputs[0].shape[-2]
        of_query, of_key = plan.query.rows(heads), plan.key.rows(heads)
        if len(inputs) == 1:
            three = plan.query.rows_of_three(heads).gather(inputs[0].flatten(1, 2))
            q, k, v = three.tensor_split(3)
        else:
            q, k, v = (rows.gather(x) for rows, x in zip((of_query, of_key, of_key), inputs, strict=True))
        out = q.new_empty(q.shape[0], v.shape[1])
        keep = any(ctx.needs_input_grad)
        kept: list[Tensor] = []
        for group, mask, (gq, gk, gv, go) in zip(plan.groups, masks, parts(plan, heads, q, k, v, out), strict=True):
            if 0 in (group.queries, group.keys):
                go.zero_()
            elif is_short(group.keys, mask):
                kept += _short_forward(gq, gk, gv, go, mask, scale)
            else:
                attended, total = flash_forward(gq, gk, gv, 0.0, mask.causal, attn_mask=mask.added, scale=scale)
                go.copy_(attended)
                kept.append(total)
        ctx.plan, ctx.masks, ctx.scale, ctx.inputs, ctx.heads = plan, masks, scale, len(inputs), heads
        ctx.save_for_backward(*((q, k, v, out, *kept) if keep else ()))
        return of_query.select(out, heads)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        plan, heads = ctx.plan, ctx.heads
        q, k, v, out, *kept = ctx.saved_tensors
        remaining = iter(kept)
        g = plan.query.rows(heads).gather_real(gradient)
        if ctx.inputs == 1:
            three = q.new_empty(3 * len(q), q.shape[1])
            dq, dk, dv = three.tensor_split(3)
        else:
            dq, dk, dv = torch.empty_like(q), torch.empty_like(k), torch.empty_like(v)
        given, found = parts(plan, heads, q, k, v, g), parts(plan, heads, dq, dk, dv, out)
        for group, mask, at, (oq, ok, ov, go) in zip(plan.groups, ctx.masks, given, found, strict=True):
            if 0 in (group.queries, group.keys):
                for one in (oq, ok, ov):
                    one.zero_()
            elif is_short(group.keys, mask):
                _short_backward(at, (oq, ok, ov), remaining, mask, ctx.scale)
            else:
                gq, gk, gv, gg = at
                made = flash_backward(
                    gg, gq, gk, gv, go, next(remaining), 0.0, mask.causal, attn_mask=mask.added, scale=ctx.scale
                )
                for one, gradients in zip((oq, ok, ov), made, strict=True):
                    one.copy_(gradients)
        if ctx.inputs == 1:
            both = plan.query.rows_of_three(heads).select(three, heads)
            return None, None, None, both.unflatten(0, (-1, 3))
        of_key = plan.key.rows(heads)
        gradients = (plan.query.rows(heads).select(dq, heads), of_key.select(dk, heads), of_key.select(dv, heads))
        return None, None, None, *gradients


def parts(
    plan: Grouping, heads: int, query: Tensor, key: Tensor, value: Tensor, output: Tensor
) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
    """Each group's [N, H, L, D] as views of all groups' rows: of queries, keys, values and outputs."""
    row = column = 0
    for group in plan.groups:
        count = len(group.examples)
        rows = slice(row, row + count * heads * group.queries)
        columns = slice(column, column + count * heads * group.keys)
        row, column = rows.stop, columns.stop
        yield (
            query[rows].view(count, heads, group.queries, query.shape[1]),
            key[columns].view(count, heads, group.keys, key.shape[1]),
            value[columns].view(count, heads, group.keys, value.shape[1]),
            output[rows].view(count, heads, group.queries, output.shape[1]),
        )


def is_short(keys: int, mask: KernelMask) -> bool:
    """Whether a group goes by batched products; the flash kernel knows no query that sees nothing."""
    return keys <= (SHORT_CAUSAL if mask.causal else SHORT) or mask.blind


def pieces(queries: int, keys: int, causal: bool) -> list[tuple[slice, slice]]:
    """Runs of queries and the keys that each may see, the last run first; without a causal mask there is one."""
    if not causal:
        return [(slice(0, queries), slice(0, keys))]
    size = -(-queries // -(-queries // PIECE))
    ends = [min(begin + size, queries) for begin in range(0, queries, size)]
    return [(slice(begin, end), slice(0, end)) for begin, end in zip([0, *ends], ends, strict=False)][::-1]


def _short_forward(
    query: Tensor, key: Tensor, value: Tensor, output: Tensor, mask: KernelMask, scale: float
) -> list[Tensor]:
    """Write a group's output, and return its pieces' weights [N H, C, keys]."""
    examples = query.shape[0]
    q, k, v, o = (x.flatten(0, 1) for x in (query, key, value, output))
    kept = []
    for rows, columns in pieces(q.shape[1], k.shape[1], mask.causal):
        few = k.shape[1] < FEW
        if few:  # keys before queries: a softmax over a row needs rows as long as a vector
            scores = _scaled(k, q.transpose(1, 2), scale).transpose(1, 2)
        else:
            scores = _scaled(q[:, rows], k[:, columns].transpose(1, 2), scale)
        if mask.causal:
            size = rows.stop - rows.start
            scores[:, :, rows].add_(scores.new_full((size, size), float("-inf")).triu_(1))
        elif mask.added is not None:
            scores.unflatten(0, (examples, -1)).add_(mask.added)
        weights = _softmax_(scores.transpose(1, 2), 1).transpose(1, 2) if few else _softmax_(scores, 2)
        if mask.blind and mask.added is not None:
            weights.unflatten(0, (examples, -1)).masked_fill_(mask.added != 0, 0.0)
        _write(weights, v[:, columns], o[:, rows])
        kept.append(weights)
    return kept


def _short_backward(
    given: tuple[Tensor, Tensor, Tensor, Tensor],
    found: tuple[Tensor, Tensor, Tensor],
    kept: Iterator[Tensor],
    mask: KernelMask,
    scale: float,
) -> None:
    """Write a group's gradients, from queries, keys, values, the output's gradient and the pieces' weights."""
    (q, k, v, g), (dq, dk, dv) = (x.flatten(0, 1) for x in given), (x.flatten(0, 1) for x in found)
    for rows, columns in pieces(q.shape[1], k.shape[1], mask.causal):
        weights = next(kept)
        if k.shape[1] < FEW:
            inner = _softmax_gradient_(_scaled(v, g.transpose(1, 2), scale), weights.transpose(1, 2), 1).transpose(1, 2)
        else:
            inner = _softmax_gradient_(_scaled(g[:, rows], v[:, columns].transpose(1, 2), scale), weights, 2)
        _write(inner, k[:, columns], dq[:, rows])
        for total, first, second in ((dk, inner, q[:, rows]), (dv, weights, g[:, rows])):
            if columns.stop == k.shape[1]:
                torch.bmm(first.transpose(1, 2), second, out=total)
            else:
                total[:, columns].add_(torch.bmm(first.transpose(1, 2), second))


def _scaled(first: Tensor, second: Tensor, scale: float) -> Tensor:
    """The products times ``scale``."""
    room = first.new_empty(first.shape[0], first.shape[1], second.shape[2])
    return torch.baddbmm(room, first, second, beta=0, alpha=scale, out=room)


def _softmax_(scores: Tensor, dim: int) -> Tensor:
    """In place: a score matrix that is still in the cache needn't be written twice."""
    weights: Tensor = torch.ops.aten._softmax.out(scores, dim, False, out=scores)
    return weights


def _softmax_gradient_(gradient: Tensor, weights: Tensor, dim: int) -> Tensor:
    """In place, from the gradient by weights to that by scores."""
    inner: Tensor = torch.ops.aten._softmax_backward_data.out(
        gradient, weights, dim, weights.dtype, grad_input=gradient
    )
    return inner


def _write(first: Tensor, second: Tensor, out: Tensor) -> None:
    """``out`` becomes the products; they are copied into a part of a tensor, where bmm would make them one by one."""
    if out.is_contiguous():
        torch.bmm(first, second, out=out)
    else:
        out.copy_(torch.bmm(first, second))
