"""Several neighbouring frames as one token: attention costs the square of the tokens."""

from __future__ import annotations

import torch

from saccade.models.jagged import Jagged, Layout


def stack(frames: Jagged, count: int) -> Jagged:
    """[F, D] -> [T, count * D]: every ``count`` frames of an example end to end; a last part repeats its last frame."""
    lengths = (frames.layout.lengths + count - 1) // count
    layout = Layout(lengths, frames.layout.device)
    begin = frames.layout.offsets[:-1][layout.example] + layout.position * count
    index = begin[:, None] + torch.arange(count, device=begin.device)
    index = index.minimum(frames.layout.last[layout.example][:, None])
    return Jagged(frames.values[index].flatten(1), layout)
