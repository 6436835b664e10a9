"""Sequences of different lengths packed into one tensor, with no padding.

Shape legend used throughout the package: B examples (rows), T tokens over all of them, D features.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import torch
from torch import Tensor

Derived = TypeVar("Derived")


class Layout:
    """Where each example lies in a packed tensor; made once a batch and shared by every layer.

    Index work that layers derive from it (``offsets``, ``example``, …) is computed on first use and kept.

    Args:
        lengths: [B] int64 on the host, each >= 0.
        device: where the derived index tensors live.
        start: [B] int64 on the host, the position of each example's first token; None for 0 (only a continued sequence
            starts later).
        time: [T], each token's moment in the user's own unit, for positions that look at time; moved to the device.
        block: [T] int64, each token's block (a session, say), for masks that look at blocks.
        valid: [T] bool, false at tokens that nobody may attend to, for the padding mask.
        last_only: see ``for_last``.

    Raises:
        ValueError: time, block or valid don't have a value for every token.
    """

    def __init__(
        self,
        lengths: Tensor,
        device: torch.device | str = "cpu",
        *,
        start: Tensor | None = None,
        time: Tensor | None = None,
        block: Tensor | None = None,
        valid: Tensor | None = None,
        last_only: bool = False,
    ) -> None:
        self.lengths = lengths
        self.device = torch.device(device)
        self.start = start
        self.total = int(lengths.sum())
        self.max_length = int(lengths.max()) if lengths.numel() else 0
        self._derived: dict[Any, Any] = {}
        for name, values in (("time", time), ("block", block), ("valid", valid)):
            if values is not None and values.shape != (self.total,):
                raise ValueError(
                    f"Layout: {name} has shape {tuple(values.shape)}, but the lengths sum to {self.total} tokens"
                )
        self.last_only = last_only
        self.time, self.block, self.valid = (None if x is None else x.to(self.device) for x in (time, block, valid))

    def __len__(self) -> int:
        return self.lengths.numel()

    def __repr__(self) -> str:
        return f"Layout({len(self)} examples, {self.total} tokens, longest {self.max_length}, {self.device})"

    @cached_property
    def host_offsets(self) -> Tensor:
        """[B + 1] int64 on the host: example b is ``values[offsets[b]:offsets[b + 1]]``."""
        offsets = torch.zeros(len(self) + 1, dtype=torch.int64)
        torch.cumsum(self.lengths, 0, out=offsets[1:])
        return offsets

    @cached_property
    def offsets(self) -> Tensor:
        """[B + 1] int64 on the device."""
        return self.host_offsets.to(self.device)

    @cached_property
    def example(self) -> Tensor:
        """[T] int64 on the device: the example that each token belongs to."""
        rows = torch.arange(len(self)).repeat_interleave(self.lengths, output_size=self.total)
        return rows.to(self.device)

    @cached_property
    def position(self) -> Tensor:
        """[T] int64 on the device: each token's place in its example, from 0 (from ``start`` where that is set)."""
        first = self.offsets[:-1] if self.start is None else self.offsets[:-1] - self.start.to(self.device)
        return torch.arange(self.total, device=self.device) - first[self.example]

    @cached_property
    def last(self) -> Tensor:
        """[B] int64 on the device: the index of each example's last token; an empty example has no valid one."""
        return self.offsets[1:] - 1

    def for_last(self) -> Layout:
        """The same layout for those who look at each example's last token alone: ``last_only`` is true.

        A network may then leave the other tokens' outputs at zero.
        """
        return self._copy(self.device, last_only=True)

    def derive(self, make: Callable[..., Derived], *arguments: Hashable) -> Derived:
        """``make(self, *arguments)``, computed once for this layout however many layers ask for it."""
        key = (make, *arguments)
        if key not in self._derived:
            self._derived[key] = make(self, *arguments)
        derived: Derived = self._derived[key]
        return derived

    def to(self, device: torch.device | str) -> Layout:
        """The same layout with its derived tensors on ``device``."""
        return self if self.device == torch.device(device) else self._copy(device, self.last_only)

    def _copy(self, device: torch.device | str, last_only: bool) -> Layout:
        time, block, valid = self.time, self.block, self.valid
        return Layout(self.lengths, device, start=self.start, time=time, block=block, valid=valid, last_only=last_only)

    def take_tokens(self, index: Tensor, lengths: Tensor, start: Tensor | None = None) -> Layout:
        """A layout of chosen tokens, which keep their time, block and validity.

        Args:
            index: [sum of lengths] int64 on the device, the tokens.
            lengths: [N] int64 on the host, how many of them each new example has.
            start: see Layout.
        """
        time, block, valid = (None if x is None else x[index] for x in (self.time, self.block, self.valid))
        return Layout(lengths, self.device, start=start, time=time, block=block, valid=valid)


@dataclass(frozen=True, eq=False)
class Jagged:
    """A batch of sequences of different lengths.

    Attributes:
        values: [T, ...] the tokens of all examples, one example after the other.
        layout: which tokens are whose.
    """

    values: Tensor
    layout: Layout

    def __post_init__(self) -> None:
        if self.values.shape[0] != self.layout.total:
            raise ValueError(
                f"Jagged: values have {self.values.shape[0]} tokens (shape {tuple(self.values.shape)}), "
                f"but the layout's lengths sum to {self.layout.total}"
            )

    def __len__(self) -> int:
        return len(self.layout)

    def with_values(self, values: Tensor) -> Jagged:
        """The same layout over other values of [T, ...]."""
        return Jagged(values, self.layout)

    def to(self, device: torch.device | str) -> Jagged:
        """A copy on ``device`` (itself where it is there already)."""
        return Jagged(self.values.to(device), self.layout.to(device))

    def take(self, examples: Tensor, last: int | None = None) -> Jagged:
        """The chosen examples in the given order, each cut to its ``last`` tokens where that is set.

        Args:
            examples: [N] int64 on the host.
            last: keep at most this many tokens from each example's end.
        """
        lengths = self.layout.lengths[examples]
        ends = self.layout.host_offsets[1:][examples]
        if last is not None:
            lengths = lengths.clamp(max=last)
        return self.slice(ends - lengths, lengths)

    def slice(self, starts: Tensor, lengths: Tensor) -> Jagged:
        """New examples, each a run of tokens of this one.

        Args:
            starts: [N] int64 on the host, the first token of each run in ``values``.
            lengths: [N] int64 on the host.
        """
        total = int(lengths.sum())
        shift = (starts - (lengths.cumsum(0) - lengths)).repeat_interleave(lengths, output_size=total)
        index = (torch.arange(total) + shift).to(self.values.device)
        return Jagged(self.values[index], self.layout.take_tokens(index, lengths))

    def last(self) -> Jagged:
        """Each example's last token, at the place where it stands; none of an empty example."""
        return Jagged(self.values[last_tokens(self.layout)], self.layout.derive(_last_layout))

    def unpack(self) -> list[Tensor]:
        """One tensor [length, ...] an example, as views."""
        return list(self.values.split(self.layout.lengths.tolist()))

    def to_padded(self, fill: float = 0.0) -> Tensor:
        """[B, L, ...], L the longest example's length: each example from the left, then ``fill``."""
        shape = (len(self), self.layout.max_length, *self.values.shape[1:])
        padded = self.values.new_full(shape, fill)
        step = (
            torch.arange(self.layout.total, device=self.layout.device) - self.layout.offsets[:-1][self.layout.example]
        )
        padded[self.layout.example, step] = self.values
        return padded

    @staticmethod
    def from_padded(padded: Tensor, real: Tensor) -> Jagged:
        """The real tokens of a padded batch, at whichever side its padding stands.

        Args:
            padded: [B, L, ...].
            real: [B, L] bool, true at tokens; or [B] integers, how many tokens each example begins with.

        Raises:
            ValueError: the two don't fit.
        """
        if padded.dim() < 2 or real.shape not in (padded.shape[:1], padded.shape[:2]):
            raise ValueError(
                f"Jagged.from_padded: padded of shape {tuple(padded.shape)} needs real of shape [B, L] or [B], "
                f"not {tuple(real.shape)}"
            )
        if real.dim() == 1:
            if bool((real < 0).any() or (real > padded.shape[1]).any()):
                raise ValueError(f"Jagged.from_padded: lengths must be 0 to {padded.shape[1]}, found {real.tolist()}")
            real = torch.arange(padded.shape[1], device=padded.device) < real.to(padded.device)[:, None]
        elif real.dtype != torch.bool:
            raise ValueError(f"Jagged.from_padded: a mask must be bool, not {str(real.dtype).removeprefix('torch.')}")
        return Jagged(padded[real], Layout(real.sum(1).cpu(), padded.device))

    @staticmethod
    def pack(sequences: list[Tensor]) -> Jagged:
        """Pack tensors of [length, ...] that agree in all but their first dimension; at least one."""
        lengths = torch.tensor([s.shape[0] for s in sequences], dtype=torch.int64)
        return Jagged(torch.cat(sequences), Layout(lengths, sequences[0].device))


def last_tokens(layout: Layout) -> Tensor:
    """[N] int64 on the device: the last token of each of the N examples that aren't empty."""
    return layout.last[(layout.lengths > 0).to(layout.device)]


def _last_layout(layout: Layout) -> Layout:
    lengths = layout.lengths.clamp(max=1)
    start = layout.lengths - lengths if layout.start is None else layout.start + layout.lengths - lengths
    return layout.take_tokens(last_tokens(layout), lengths, start)
