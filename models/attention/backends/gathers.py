"""Packed queries, keys and values into groups for the CPU kernel, and their gradients back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from saccade.models.attention.backends.grouping import Group, Grouping
from saccade.models.attention.backends.head_rows import HeadRows


@dataclass(frozen=True, eq=False)
class Gathers:
    """How queries, keys and values get from packed tokens into groups, and their gradients back.

    Each group is gathered just before it is used, so that it is still in the cache then.

    Attributes:
        groups: the groups.
        heads: H.
        rows: of one tensor of all three, or of queries, keys and values.
    """

    groups: Sequence[Group]
    heads: int
    rows: Sequence[HeadRows]

    @staticmethod
    def of(plan: Grouping, inputs: Sequence[Tensor]) -> Gathers:
        """For [T, 3, H, D], or for [T, H, D], [S, H, D] and [S, H, E]."""
        heads = inputs[0].shape[-2]
        if len(inputs) == 1:
            return Gathers(plan.groups, heads, (plan.query.rows(heads, 3),))
        of_key = plan.key.rows(heads)
        return Gathers(plan.groups, heads, (plan.query.rows(heads), of_key, of_key))

    def rooms(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """For the rows of all groups."""
        return [x.new_empty(rows.total, x.shape[-1]) for rows, x in zip(self.rows, inputs, strict=True)]

    def read(self, inputs: Sequence[Tensor], rooms: Sequence[Tensor]) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Each group's queries, keys and values [N H, L, D], gathered into ``rooms``."""
        packed = [x.reshape(-1, x.shape[-1]) for x in inputs]
        for number, (group, found) in enumerate(zip(self.groups, self._split(rooms), strict=True)):
            for rows, x, room in zip(self.rows, packed, found, strict=True):
                torch.index_select(x, 0, rows.index[number], out=room)
            yield self._apart(group, found)

    def views(self, rooms: Sequence[Tensor]) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Each group's queries, keys and values in ``rooms``."""
        for group, found in zip(self.groups, self._split(rooms), strict=True):
            yield self._apart(group, found)

    def gradients(self, rooms: Sequence[Tensor]) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Where each group's gradients of them belong; see HeadRows.back for why."""
        for query, key, value in self.views(rooms):
            yield (query, value, key) if len(rooms) == 1 else (query, key, value)

    def collect(self, rooms: Sequence[Tensor], shapes: Sequence[torch.Size]) -> Iterator[Tensor]:
        """The gradients of the packed tokens."""
        for rows, room, shape in zip(self.rows, rooms, shapes, strict=True):
            yield rows.select(room).view(shape)

    def _split(self, rooms: Sequence[Tensor]) -> Iterator[Sequence[Tensor]]:
        return zip(*(rows.split(room) for rows, room in zip(self.rows, rooms, strict=True)), strict=True)

    def _apart(self, group: Group, found: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        count = len(group.examples) * self.heads
        if len(found) == 1:
            query, key, value = found[0].view(3, count, group.queries, found[0].shape[1]).unbind(0)
            return query, key, value
        query, key, value = found
        return (
            query.view(count, group.queries, query.shape[1]),
            key.view(count, group.keys, key.shape[1]),
            value.view(count, group.keys, value.shape[1]),
        )
