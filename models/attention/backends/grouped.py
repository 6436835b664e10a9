"""Attention by groups of similar length: the fast path on a CPU, where no packed kernel exists, and right anywhere.

Softmax of a dot product goes to a fused kernel (``cpu_kernel``, or torch's own elsewhere); every other formula is
computed as it reads, one group's score matrix at a time. A causal group needs no mask for its padding, which stands
behind every real token.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from saccade.models.attention.backends.cpu_kernel import has_kernel, softmax_attention
from saccade.models.attention.backends.fused import fused_scale
from saccade.models.attention.backends.grouping import Cost, Group, Grouping, grouping
from saccade.models.attention.backends.kernel_mask import KernelMask
from saccade.models.attention.backends.places import Places
from saccade.models.attention.coordinates import Coordinates, coordinates
from saccade.models.attention.formula import Formula, spread_heads
from saccade.models.attention.masks.causal import Causal
from saccade.models.attention.masks.mask import Both, Mask
from saccade.models.jagged import Jagged, Layout

FUSED = Cost(call=270.0, place=0.0045, pair=0.00012, most_places=1 << 12, most_pairs=1 << 62)
"""Of the fused kernel, which never holds a score matrix."""

EXPLICIT = Cost(call=580.0, place=0.0076, pair=0.00055, most_places=1 << 14, most_pairs=1 << 18)
"""Of a formula computed as it reads."""


class Grouped:
    """Computes every formula, on any device."""

    name = "grouped"

    def refuses(self, formula: Formula, query: Jagged, key: Jagged) -> str | None:
        """Nothing."""
        return None

    def __call__(self, formula: Formula, query: Jagged, key: Jagged, value: Tensor) -> Tensor:
        """See Backend."""
        if query.layout.total == 0 or key.layout.total == 0:
            return nothing(formula, query, key, value)
        fused = None if formula.biases else fused_scale(formula, query.values.shape[2])
        cost = EXPLICIT if fused is None else FUSED
        width = query.values.shape[1] * query.values.shape[2]
        plan = query.layout.derive(grouping, key.layout, cost, width)
        if fused is not None and has_kernel(query.values):
            hidden = query.layout.derive(kernel_masks, key.layout, cost, width, formula.mask, query.values.dtype)
            return softmax_attention(query.values, key.values, value, plan, hidden, fused)
        masks = query.layout.derive(group_masks, key.layout, cost, width, formula.mask)
        q, k, v = plan.query.spread(query.values), plan.key.spread(key.values), plan.key.spread(value)
        outputs = []
        everywhere = query.layout.derive(group_places, key.layout, cost, width)
        buckets = query.layout.derive(group_buckets, key.layout, cost, width)
        for part, mask, place, found in zip(parts(plan, q, k, v), masks, everywhere, buckets, strict=True):
            if part.group.keys == 0:
                attended = part.query.new_zeros(*part.query.shape[:3], v.shape[2])
            elif fused is not None:
                attended = _fused(part, mask, fused)
            else:
                attended = _explicit(formula, part, mask, place, found)
            outputs.append(attended.transpose(1, 2).flatten(0, 1))  # [N Lq, H, E]
        return plan.query.collect(torch.cat(outputs) if len(outputs) > 1 else outputs[0])


def nothing(formula: Formula, query: Jagged, key: Jagged, value: Tensor) -> Tensor:
    """What a batch without queries or keys gives: zeros [T, H, E] that every parameter is still a part of.

    A rank with an empty batch must run the same backward as all others.
    """
    q, k, v = (x[:0, None].transpose(1, 2) for x in (query.values, key.values, value))  # no example, of one token
    nowhere = Coordinates(*(torch.zeros(0, 1, dtype=torch.int64, device=q.device) for _ in range(4)))
    weights = formula.weights(q, k, formula.bias(nowhere, nowhere), None)
    zero = (weights @ spread_heads(v, weights.shape[1])).sum() + 0.0 * (query.values.sum() + key.values.sum() + v.sum())
    return zero.expand(query.layout.total, query.values.shape[1], value.shape[2])


@dataclass(frozen=True, eq=False)
class Part:
    """A group with its padded heads: query [N, H, Lq, D], key [N, G, Lk, D], value [N, G, Lk, E]."""

    group: Group
    query: Tensor
    key: Tensor
    value: Tensor


@dataclass(frozen=True, eq=False)
class GroupMask:
    """What a group's queries may see.

    Attributes:
        causal: each query sees itself and what is before it, and nothing else need be said.
        allowed: bool, broadcastable to [N, H, Lq, Lk]; None where ``causal`` or nothing is hidden.
    """

    causal: bool
    allowed: Tensor | None


def parts(plan: Grouping, query: Tensor, key: Tensor, value: Tensor) -> Iterator[Part]:
    """The groups' heads, as views of the places of all groups."""
    rows = [len(group.examples) * group.queries for group in plan.groups]
    columns = [len(group.examples) * group.keys for group in plan.groups]
    # Split, not sliced: the gradient of a slice is a whole tensor of zeros with the slice in it.
    pieces = zip(query.split(rows), key.split(columns), value.split(columns), strict=True)
    for group, (q, k, v) in zip(plan.groups, pieces, strict=True):
        row_shape, column_shape = (len(group.examples), group.queries), (len(group.examples), group.keys)
        yield Part(
            group,
            q.unflatten(0, row_shape).transpose(1, 2),
            k.unflatten(0, column_shape).transpose(1, 2),
            v.unflatten(0, column_shape).transpose(1, 2),
        )


def group_masks(query: Layout, key: Layout, cost: Cost, width: int, mask: Mask | None) -> list[GroupMask]:
    """Each group's mask; use ``query.derive``, so that layers with equal masks share them."""
    plan = query.derive(grouping, key, cost, width)
    everywhere = query.derive(group_places, key, cost, width)
    aligned = query is key and query.start is None
    masks = []
    for group, (rows, columns) in zip(plan.groups, everywhere, strict=True):
        if aligned and type(mask) is Causal:
            masks.append(GroupMask(True, None))
            continue
        allowed = None if mask is None else mask.allows(rows.as_queries(), columns.as_keys())[:, None]
        lengths = key.lengths[group.examples][:, None, None, None]
        if not (aligned and hides_what_follows(mask)) and bool((lengths < group.keys).any()):
            real = (torch.arange(group.keys) < lengths).to(key.device)
            allowed = real if allowed is None else allowed & real
        masks.append(GroupMask(False, allowed))
    return masks


def kernel_masks(
    query: Layout, key: Layout, cost: Cost, width: int, mask: Mask | None, dtype: torch.dtype
) -> list[KernelMask]:
    """The same for the CPU kernel; use ``query.derive``."""
    masks = []
    for of_group in query.derive(group_masks, key, cost, width, mask):
        allowed, added, blind = of_group.allowed, None, False
        if allowed is not None:
            added = torch.zeros((), dtype=dtype).masked_fill(~allowed, float("-inf"))
            blind = not bool(allowed.any(-1).all())
        masks.append(KernelMask(of_group.causal, added, blind))
    return masks


def hides_what_follows(mask: Mask | None) -> bool:
    """Whether a query sees nothing behind itself, and so no padding."""
    if isinstance(mask, Both):
        return hides_what_follows(mask.first) or hides_what_follows(mask.second)
    return type(mask) is Causal


def group_places(query: Layout, key: Layout, cost: Cost, width: int) -> list[tuple[Coordinates, Coordinates]]:
    """The coordinates of each group's padded queries and keys; use ``query.derive``."""
    plan = query.derive(grouping, key, cost, width)
    rows = _padded(query, plan.query, [(group.examples, group.queries) for group in plan.groups])
    columns = rows if query is key else _padded(key, plan.key, [(group.examples, group.keys) for group in plan.groups])
    return list(zip(rows, columns, strict=True))


def group_buckets(query: Layout, key: Layout, cost: Cost, width: int) -> list[dict[Hashable, Tensor]]:
    """Where each group keeps the buckets that its pairs fall into, for the next layer; use ``query.derive``."""
    return [{} for _ in query.derive(grouping, key, cost, width).groups]


def _padded(layout: Layout, places: Places, groups: Sequence[tuple[Tensor, int]]) -> list[Coordinates]:
    """A group's [N, length] each, and [1, length] for a position that is the same in all examples.

    A padded place has the position that would follow, and its example's last token's time, block and validity.
    """
    found = []
    for index, (examples, length) in zip(places.index.split([len(e) * n for e, n in groups]), groups, strict=True):
        step = torch.arange(length, device=layout.device)[None]
        if layout.start is not None:
            step = step + layout.start[examples].to(layout.device)[:, None]
        if layout.time is None and layout.block is None and layout.valid is None:
            found.append(Coordinates(step))
            continue
        known = layout.derive(coordinates).at(index.view(len(examples), length))
        found.append(Coordinates(step, known.time, known.block, known.valid))
    return found


def _fused(part: Part, mask: GroupMask, scale: float) -> Tensor:
    heads, groups = part.query.shape[1], part.key.shape[1]
    return scaled_dot_product_attention(
        part.query,
        part.key,
        part.value,
        attn_mask=mask.allowed,
        is_causal=mask.causal,
        scale=scale,
        enable_gqa=heads != groups,
    )


def _explicit(
    formula: Formula,
    part: Part,
    mask: GroupMask,
    place: tuple[Coordinates, Coordinates],
    buckets: dict[Hashable, Tensor],
) -> Tensor:
    bias, allowed = formula.bias(*place, buckets), mask.allowed
    if mask.causal:
        ones = torch.ones(part.query.shape[2], part.key.shape[2], dtype=torch.bool, device=part.query.device)
        allowed = ones.tril()
    weights = formula.weights(part.query, part.key, bias, allowed)
    return weights @ spread_heads(part.value, weights.shape[1])
