"""Softmax attention over groups on a CPU, forward and backward as one function.

Between packed tokens and groups each tensor is gathered once, and results are written where they belong: what autograd
makes of the same steps (slices, concatenations, sums of zeros) takes half as long again. Groups of short sequences, for
which torch's flash kernel makes many calls of tiny matrix products, are computed by batched ones, whose weights are
small enough to be kept; long ones by the flash kernel, which keeps none. 1,024 sentences of 12 words on average, 4
heads of 32, two cores, forward and backward: 23 ms by the flash kernel alone, 15 with batched products; 128 histories
of at most 200 items, causal: 51 and 44 (``python benchmarks/attention.py``, and with SHORT and SHORT_CAUSAL at 0).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from saccade.models.attention.backends import batched
from saccade.models.attention.backends.gathers import Gathers
from saccade.models.attention.backends.grouping import Grouping
from saccade.models.attention.backends.kernel_mask import KernelMask

flash_forward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
flash_backward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward


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
        heads, dim = inputs[-1].shape[-2:]
        of_query, gathers = plan.query.rows(heads), Gathers.of(plan, inputs)
        out, rooms = inputs[0].new_empty(of_query.total, dim), gathers.rooms(inputs)
        kept: list[Tensor] = []
        totals: list[Tensor] = []
        each = zip(plan.groups, masks, gathers.read(inputs, rooms), of_query.split(out), strict=True)
        for group, mask, (q, k, v), rows in each:
            o = rows.view(-1, group.queries, dim)
            if 0 in (group.queries, group.keys):
                o.zero_()
            elif batched.is_short(group.keys, mask):
                kept += batched.forward(q, k, v, o, mask, scale)
            else:
                four = (x.unflatten(0, (-1, heads)) for x in (q, k, v))
                attended, total = flash_forward(*four, 0.0, mask.causal, attn_mask=mask.added, scale=scale)
                o.copy_(attended.flatten(0, 1))
                totals.append(total)
        ctx.plan, ctx.gathers, ctx.masks, ctx.scale = plan, gathers, masks, scale
        ctx.shapes, ctx.long = [x.shape for x in inputs], len(totals)
        if any(ctx.needs_input_grad):
            ctx.save_for_backward(*rooms, *totals, *kept, *([out] if totals else []))
        return of_query.select(out).view(-1, heads, dim)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        plan, gathers, shapes = ctx.plan, ctx.gathers, ctx.shapes
        rooms, kept = ctx.saved_tensors[: len(shapes)], ctx.saved_tensors[len(shapes) :]
        heads, dim = gradient.shape[1:]
        of_query = plan.query.rows(heads)
        totals, weights = iter(kept[: ctx.long]), iter(kept[ctx.long :])
        outputs = of_query.split(kept[-1]) if ctx.long else [gradient] * len(plan.groups)
        # Nobody reads a group's queries, keys and values once its gradients are known, unless the graph is kept.
        last = len(rooms) == 1 and not torch._C._autograd._get_current_graph_task_keep_graph()
        written = rooms if last else [torch.empty_like(x) for x in rooms]
        packed = gradient.reshape(-1, dim)
        room = packed.new_empty(max(map(len, of_query.index), default=0), dim)
        each = zip(plan.groups, ctx.masks, gathers.views(rooms), gathers.gradients(written), outputs, strict=True)
        for number, (group, mask, (q, k, v), found, o) in enumerate(each):
            if 0 in (group.queries, group.keys):
                for one in found:
                    one.zero_()
                continue
            g = of_query.gather_real(packed, number, room).view(-1, group.queries, dim)
            if batched.is_short(group.keys, mask):
                batched.backward((q, k, v, g), found, weights, mask, ctx.scale)
            else:
                four = (x.view(-1, heads, x.shape[-2], x.shape[-1]) for x in (g, q, k, v, o.view_as(g)))
                made = flash_backward(*four, next(totals), 0.0, mask.causal, attn_mask=mask.added, scale=ctx.scale)
                for one, gradients in zip(found, made, strict=True):
                    one.copy_(gradients.flatten(0, 1))
        return None, None, None, *gathers.collect(written, shapes)
