"""What step-by-step decoding remembers: the keys and values of the tokens so far."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from saccade.models.attention.coordinates import Coordinates, coordinates
from saccade.models.attention.formula import Formula, spread_heads
from saccade.models.jagged import Jagged, Layout

SMALLEST = 16
"""Tokens that a cache has room for at first; it doubles when full, so that a step copies little on average."""


class KeyValueCache:
    """One layer's keys and values, padded: [B, G, room, D] and [B, G, room, E].

    The queries of a step see all that is kept and, as the layer's mask says, the step's own tokens. For causal layers
    this equals computing the whole sequence at once; a layer that looks ahead can't be computed step by step. It's for
    inference: call the model under ``torch.inference_mode()``.
    """

    def __init__(self) -> None:
        self.lengths = torch.zeros(0, dtype=torch.int64)
        self._keys: Tensor | None = None
        self._values: Tensor | None = None
        self._places: Coordinates | None = None

    def attend(self, formula: Formula, query: Jagged, key: Jagged, value: Tensor) -> Tensor:
        """Keep the step's keys, and attend to all that are kept.

        Args:
            formula: what to compute.
            query: [T, H, D] prepared, with a layout made by ``DecodingCache.layout``.
            key: [T, G, D] prepared, in the same layout.
            value: [T, G, E].

        Returns:
            [T, H, E].
        """
        if formula.score.sequential:
            raise ValueError(f"{type(formula.score).__name__} looks at the weights of all queries before: no cache")
        layout = query.layout
        if layout.total == 0:
            return query.values.new_zeros(0, query.values.shape[1], value.shape[2])
        self._append(key, value)
        assert self._keys is not None
        assert self._values is not None
        assert self._places is not None
        rows = layout.derive(_rows)
        padded = query.values[rows]  # [B, Lq, H, D]
        used = int(self.lengths.max())
        here = self._places.map(lambda x: x[:, :used])
        there = layout.derive(coordinates).at(rows)
        kept = (torch.arange(used) < self.lengths[:, None]).to(layout.device)[:, None, None, :]
        allowed = formula.allowed(there, here)
        allowed = kept if allowed is None else allowed[:, None] & kept
        weights = formula.weights(padded.transpose(1, 2), self._keys[:, :, :used], formula.bias(there, here), allowed)
        attended = weights @ spread_heads(self._values[:, :, :used], weights.shape[1])
        return attended.transpose(1, 2)[layout.example, layout.derive(_step)]

    def _append(self, key: Jagged, value: Tensor) -> None:
        layout = key.layout
        examples, lengths = len(layout), layout.lengths
        if self._keys is None:
            self.lengths = torch.zeros(examples, dtype=torch.int64)
        if len(self.lengths) != examples:
            raise ValueError(f"the cache holds {len(self.lengths)} examples, the step has {examples}")
        self._make_room(int((self.lengths + lengths).max()), key.values, value, layout)
        assert self._keys is not None
        assert self._values is not None
        assert self._places is not None
        place = self.lengths.to(layout.device)[layout.example] + layout.derive(_step)
        self._keys[layout.example, :, place] = key.values
        self._values[layout.example, :, place] = value
        for name in ("time", "block", "valid"):
            given, kept = getattr(layout, name), getattr(self._places, name)
            if (given is None) != (kept is None):
                raise ValueError(f"the cache's first step had {'a' if given is None else 'no'} {name}: give it always")
            if given is not None:
                kept[layout.example, place] = given
        self.lengths = self.lengths + lengths

    def _make_room(self, needed: int, key: Tensor, value: Tensor, layout: Layout) -> None:
        room = 0 if self._keys is None else self._keys.shape[2]
        if needed <= room:
            return
        room = max(SMALLEST, 1 << (needed - 1).bit_length())
        examples, device = len(layout), layout.device
        self._keys = _grown(self._keys, (examples, key.shape[1], room, key.shape[2]), key)
        self._values = _grown(self._values, (examples, value.shape[1], room, value.shape[2]), value)
        old = self._places
        self._places = Coordinates(
            torch.arange(room, device=device)[None].expand(examples, room),
            *(
                None if x is None else _grown(None if old is None else getattr(old, name), (examples, room), x)
                for name in ("time", "block", "valid")
                for x in (getattr(layout, name),)
            ),
        )


class DecodingCache:
    """The caches of all layers of a model, and how far each example has come.

    Args:
        layers: attention layers of the model, in the order in which it calls them.
    """

    def __init__(self, layers: int) -> None:
        self.layers = [KeyValueCache() for _ in range(layers)]

    def __iter__(self) -> Iterator[KeyValueCache]:
        return iter(self.layers)

    def layout(
        self,
        lengths: Tensor,
        device: torch.device | str = "cpu",
        *,
        time: Tensor | None = None,
        block: Tensor | None = None,
        valid: Tensor | None = None,
    ) -> Layout:
        """The layout of the next step's tokens, whose positions go on where the last step's ended; see Layout.

        Args:
            lengths: [B] int64 on the host, tokens that each example gets in this step.
            device: where the step is computed.
            time: [T], see Layout.
            block: [T], see Layout.
            valid: [T], see Layout.
        """
        start = self.layers[0].lengths if len(self.layers[0].lengths) else torch.zeros_like(lengths)
        return Layout(lengths, device, start=start, time=time, block=block, valid=valid)


def _grown(old: Tensor | None, shape: tuple[int, ...], like: Tensor) -> Tensor:
    new = like.new_zeros(shape)
    if old is not None:
        new[tuple(slice(size) for size in old.shape)] = old
    return new


def _rows(layout: Layout) -> Tensor:
    """[B, Lq] int64: the token at each padded place, the example's last (or any) where there is none."""
    starts, sizes = layout.host_offsets[:-1, None], layout.lengths[:, None]
    step = torch.arange(layout.max_length)
    return (starts + step.minimum((sizes - 1).clamp(min=0))).clamp(max=layout.total - 1).to(layout.device)


def _step(layout: Layout) -> Tensor:
    """[T] int64: each token's place among its example's tokens of this step."""
    return torch.arange(layout.total, device=layout.device) - layout.offsets[:-1][layout.example]
