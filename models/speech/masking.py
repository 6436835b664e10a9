"""Bands and stretches of time hidden in training."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from saccade.models.jagged import Jagged


class SpectrogramMasking(nn.Module):
    """Hides one run of bands and one run of frames of each recording ("SpecAugment", Park et al. 2019, section 2).

    A hidden value is zero, the mean of the normalised bands. Does nothing in evaluation.
    """

    def __init__(self, bands: float, time: float) -> None:
        """At most these parts (0 .. 1) of the bands and of a recording's frames are hidden."""
        super().__init__()
        self.bands, self.time = bands, time

    def forward(self, frames: Jagged) -> Jagged:
        """[F, mels] -> [F, mels]."""
        if not self.training:
            return frames
        layout, mels = frames.layout, frames.values.shape[1]
        draw = torch.rand(4, len(layout), device=layout.device)
        band = (torch.arange(mels, device=layout.device) + 0.5) / mels
        moment = (layout.position + 0.5) / layout.offsets.diff()[layout.example]
        hidden_bands = _in_run(band, draw[0, :, None] * self.bands, draw[1, :, None])[layout.example]
        hidden_time = _in_run(moment, draw[2, layout.example] * self.time, draw[3, layout.example])
        return frames.with_values(frames.values.masked_fill(hidden_bands | hidden_time[:, None], 0.0))


def _in_run(place: Tensor, width: Tensor, start: Tensor) -> Tensor:
    """Whether places in 0 .. 1 lie in a run of this width that starts at this part of where it can."""
    begin = start * (1 - width)
    return (begin <= place) & (place < begin + width)
