"""Cutting a batch into groups of similar length, by what computing them costs.

Few groups mean padding, many mean calls. The examples are sorted by length; a dynamic program over the lengths at which
a group may begin finds the cut of least cost under a linear model: so much a call, a place and a pair. Its constants
are measured (``python benchmarks/attention.py --calibrate``), not tuned by hand. A group may be a single example, which
needs no padding at all: long examples go one by one, short ones together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from saccade.models.attention.backends.places import Places
from saccade.models.jagged import Layout

CANDIDATES = 32
"""At most this many lengths at which a group may begin; the search costs their square, some 0.2 ms."""


@dataclass(frozen=True)
class Cost:
    """What a group costs, in microseconds, forward and backward on one CPU core.

    Attributes:
        call: the group itself, whatever its size.
        place: each padded token, for each feature of all heads together.
        pair: each padded query with each padded key, likewise.
        most_places: a group of several examples is split beyond so many padded keys, so that it stays in the cache.
        most_pairs: likewise beyond so many pairs, so that a head's score matrices do.
    """

    call: float
    place: float
    pair: float
    most_places: int
    most_pairs: int

    def __call__(self, examples: int, queries: int, keys: int, width: int) -> float:
        """Of a group with so many examples of so many padded queries and keys, ``width`` features in all heads."""
        return self.call + examples * width * (self.place * (queries + keys) + self.pair * queries * keys)


@dataclass(frozen=True, eq=False)
class Group:
    """Examples of similar length, padded to the longest.

    Attributes:
        examples: [N] int64 on the host.
        queries: padded queries of an example.
        keys: padded keys.
    """

    examples: Tensor
    queries: int
    keys: int


@dataclass(frozen=True, eq=False)
class Grouping:
    """The groups of a batch of queries and keys.

    Attributes:
        groups: cover every example that has queries or keys.
        query: where queries stand in the groups.
        key: where keys stand; the same object for self-attention.
    """

    groups: Sequence[Group]
    query: Places
    key: Places


def grouping(query: Layout, key: Layout, cost: Cost, width: int) -> Grouping:
    """Group a batch; use ``query.derive(grouping, key, cost, width)``, so that all layers share it."""
    order = _order(query.lengths, key.lengths)
    q, k = query.lengths[order].tolist(), key.lengths[order].tolist()
    cuts = _cuts(q, k, cost, width)
    spans = [(i, min(i + most, end)) for i0, end, most in _split(cuts, q, k, cost) for i in range(i0, end, most)]
    if all(end - begin == 1 for begin, end in spans):  # one by one: in the order that they lie in, nothing moves
        spans.sort(key=lambda span: int(order[span[0]]))
    groups = [Group(order[begin:end], max(q[begin:end]), max(k[begin:end])) for begin, end in spans]
    places = _places(query, groups, [group.queries for group in groups])
    same = query is key
    return Grouping(groups, places, places if same else _places(key, groups, [group.keys for group in groups]))


def _order(queries: Tensor, keys: Tensor) -> Tensor:
    """[N] int64: the examples that have any token, by descending number of keys, then of queries."""
    order = queries.argsort(descending=True, stable=True)
    order = order[keys[order].argsort(descending=True, stable=True)]
    return order[(queries + keys)[order] > 0]


def _cuts(queries: list[int], keys: list[int], cost: Cost, width: int) -> list[int]:
    """Where groups begin in the sorted examples, and their number at the end."""
    begins = _candidates(queries, keys)
    longest_query = [max(queries[a:b]) for a, b in pairwise(begins)]
    best, chosen = [0.0], [0]
    for end in range(1, len(begins)):
        least, where, longest = float("inf"), 0, 0
        for begin in range(end - 1, -1, -1):  # the last group begins at candidate `begin`
            longest = max(longest, longest_query[begin])
            group = cost(begins[end] - begins[begin], longest, keys[begins[begin]], width)
            if best[begin] + group < least:
                least, where = best[begin] + group, begin
        best.append(least)
        chosen.append(where)
    cuts, at = [], len(begins) - 1
    while at > 0:
        cuts.append(begins[at])
        at = chosen[at]
    return [0, *reversed(cuts)]


def _candidates(queries: list[int], keys: list[int]) -> list[int]:
    """Indices at which the length changes, thinned to CANDIDATES evenly in the padded length, and the end."""
    changes = [i for i in range(len(keys)) if i == 0 or (queries[i], keys[i]) != (queries[i - 1], keys[i - 1])]
    if len(changes) > CANDIDATES:
        changes = [changes[i * len(changes) // CANDIDATES] for i in range(CANDIDATES)]
    return [*changes, len(keys)] if keys else [0]


def _split(cuts: list[int], queries: list[int], keys: list[int], cost: Cost) -> list[tuple[int, int, int]]:
    """(begin, end, most examples a group) of each cut, so that no group is too large."""
    parts = []
    for begin, end in pairwise(cuts):
        pairs = max(*queries[begin:end], 1) * max(keys[begin], 1)
        parts.append((begin, end, max(1, min(cost.most_pairs // pairs, cost.most_places // max(keys[begin], 1)))))
    return parts


def _places(layout: Layout, groups: Sequence[Group], lengths: Sequence[int]) -> Places:
    examples = torch.cat([torch.empty(0, dtype=torch.int64), *(group.examples for group in groups)])
    counts = torch.tensor([len(group.examples) for group in groups], dtype=torch.int64)
    padded = torch.tensor(lengths, dtype=torch.int64).repeat_interleave(counts)
    begins = padded.cumsum(0) - padded
    total = int(padded.sum())
    owner = torch.arange(len(padded)).repeat_interleave(padded, output_size=total)
    step = torch.arange(total) - begins[owner]
    size = layout.lengths[examples][owner]
    index = layout.host_offsets[:-1][examples][owner] + step.minimum((size - 1).clamp_(min=0))
    index.clamp_(max=layout.total - 1)
    real = step < size
    back = torch.empty(layout.total, dtype=torch.int64)
    back[index[real]] = real.nonzero().squeeze(1)
    moved = total != layout.total or not torch.equal(index, torch.arange(total))
    device = layout.device
    return Places(
        index.to(device),
        back.to(device),
        (~real).nonzero().squeeze(1).to(device),
        [(len(group.examples), length) for group, length in zip(groups, lengths, strict=True)],
        moved,
    )
