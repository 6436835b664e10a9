"""Log-mel frames of recordings of different lengths, with no padding between them."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from saccade.models.jagged import Jagged, Layout
from saccade.models.segments import segment_mean

FLOOR = 1e-6
"""Added to the energies, so that silence has a logarithm; -60 dB of a full-scale sine in one sample."""

VARIANCE_FLOOR = 1e-3
"""Added to the variance of a band, so that a band without any movement stays near zero."""


def mel_filters(bins: int, mels: int, sampling_rate: int) -> Tensor:
    """[bins, mels] triangles, equally spaced from 0 Hz to half the sampling rate on the mel scale.

    mel(f) = 2595 log10(1 + f / 700) ("Speech Communication", O'Shaughnessy 1987; as in HTK).
    """
    highest = 2595 * math.log10(1 + sampling_rate / 2 / 700)
    edges = 700 * (10 ** (torch.linspace(0, highest, mels + 2, dtype=torch.float64) / 2595) - 1)
    frequency = torch.linspace(0, sampling_rate / 2, bins, dtype=torch.float64)[:, None]
    rising = (frequency - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - frequency) / (edges[2:] - edges[1:-1])
    return rising.minimum(falling).clamp(min=0).float()


class LogMel(nn.Module):
    """Windowed frames -> power spectrum -> mel bands -> logarithm -> each recording's bands to mean 0 and variance 1.

    Normalising by recording takes out loudness and the microphone's colour. Nothing here is learned.
    """

    window: Tensor
    filters: Tensor

    def __init__(self, sampling_rate: int, mels: int, frame_ms: float, hop_ms: float) -> None:
        """``sampling_rate`` in Hz; a frame of ``frame_ms`` milliseconds every ``hop_ms``, in ``mels`` bands."""
        super().__init__()
        self.mels = mels
        self.frame = max(1, round(sampling_rate * frame_ms / 1000))
        self.hop = max(1, round(sampling_rate * hop_ms / 1000))
        self.points = 1 << (self.frame - 1).bit_length()  # a power of two, for the FFT
        self.register_buffer("window", torch.hann_window(self.frame), persistent=False)
        filters = mel_filters(self.points // 2 + 1, mels, sampling_rate)
        self.register_buffer("filters", filters, persistent=False)

    def frames(self, samples: Tensor) -> Tensor:
        """[B] samples -> [B] frames: as many as fit whole; a shorter recording gives one, filled up with zeros."""
        return torch.where(samples > 0, 1 + (samples - self.frame).clamp(min=0) // self.hop, 0)

    def samples(self, frames: int) -> int:
        """How many samples so many frames read."""
        return (frames - 1) * self.hop + self.frame

    @torch.no_grad()
    def forward(self, audio: Jagged) -> Jagged:
        """Samples [T] in -1 .. 1 -> float32 [F, mels]."""
        layout = Layout(self.frames(audio.layout.lengths), audio.layout.device)
        if layout.total == 0:  # the FFT refuses it
            return Jagged(self.filters.new_zeros(0, self.mels), layout)
        begin = audio.layout.offsets[:-1][layout.example] + layout.position * self.hop
        end = audio.layout.offsets[1:][layout.example]
        index = begin[:, None] + torch.arange(self.frame, device=begin.device)
        inside = index < end[:, None]
        # bfloat16 has too few digits for a spectrum.
        with torch.autocast(audio.values.device.type, enabled=False):
            cut = audio.values.float()[index.clamp(max=audio.layout.total - 1)] * inside * self.window
            power = torch.view_as_real(torch.fft.rfft(cut, self.points)).square().sum(-1)
            bands = (power @ self.filters + FLOOR).log()
            centred = bands - segment_mean(bands, layout)[layout.example]
            variance = segment_mean(centred.square(), layout)[layout.example]
            return Jagged(centred / (variance + VARIANCE_FLOOR).sqrt(), layout)
