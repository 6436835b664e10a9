"""Log-mel frames over packed recordings."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from saccade.models.jagged import Jagged
from saccade.models.speech.log_mel import LogMel, mel_filters

RATE = 8000


def features() -> LogMel:
    return LogMel(RATE, mels=20, frame_ms=25.0, hop_ms=10.0)


def one_by_one(audio: Tensor, made: LogMel) -> Tensor:
    """The formula for one recording, frame by frame."""
    padded = torch.cat((audio, audio.new_zeros(max(0, made.frame - len(audio)))))
    rows = []
    for begin in range(0, len(padded) - made.frame + 1, made.hop):
        spectrum = torch.fft.fft(padded[begin : begin + made.frame] * made.window, made.points)
        power = spectrum.abs()[: made.points // 2 + 1] ** 2
        rows.append((power @ made.filters + 1e-6).log())
    frames = torch.stack(rows)
    return (frames - frames.mean(0)) / (frames.var(0, unbiased=False) + 1e-3).sqrt()


@given(lengths=st.lists(st.integers(0, 900), min_size=1, max_size=6), seed=st.integers(0, 2**20))
@settings(max_examples=25, deadline=None)
def test_equals_the_formula_on_each_recording(lengths: list[int], seed: int) -> None:
    torch.manual_seed(seed)
    made = features()
    recordings = [torch.randn(n) * 0.1 for n in lengths]
    frames = made(Jagged.pack(recordings))
    assert frames.layout.lengths.tolist() == [0 if n == 0 else 1 + max(0, n - made.frame) // made.hop for n in lengths]
    for recording, found in zip(recordings, frames.unpack(), strict=True):
        if len(recording):
            torch.testing.assert_close(found, one_by_one(recording, made), atol=2e-3, rtol=1e-3)


def test_neighbours_in_the_batch_leave_no_trace() -> None:
    torch.manual_seed(0)
    made = features()
    mine, loud = torch.randn(700) * 0.1, torch.randn(90) * 1000
    alone = made(Jagged.pack([mine])).values
    between = made(Jagged.pack([loud, mine, loud])).unpack()[1]
    torch.testing.assert_close(between, alone, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("frequency", [300.0, 1000.0, 3000.0])
def test_a_tone_lights_the_band_around_its_frequency(frequency: float) -> None:
    filters = mel_filters(129, 20, RATE)
    spectrum = torch.zeros(129)
    spectrum[round(frequency / (RATE / 256))] = 1.0
    mel = 2595 * math.log10(1 + frequency / 700)
    highest = 2595 * math.log10(1 + RATE / 2 / 700)
    assert abs(int((spectrum @ filters).argmax()) - (mel / highest * 21 - 1)) <= 1


def test_loudness_goes_out() -> None:
    torch.manual_seed(0)
    audio = torch.randn(2000)
    made = features()
    loud, soft = made(Jagged.pack([audio])).values, made(Jagged.pack([audio * 0.1])).values
    torch.testing.assert_close(loud, soft, atol=1e-2, rtol=1e-2)


def test_frames_read_no_further_than_their_samples() -> None:
    made = features()
    audio = torch.randn(5000)
    cut = audio[: made.samples(7)]
    assert made.frames(torch.tensor([len(cut), len(cut) - 1])).tolist() == [7, 6]


def test_nothing_gives_nothing() -> None:
    frames = features()(Jagged.pack([torch.zeros(0)]))
    assert frames.values.shape == (0, 20)


def test_silence_is_finite() -> None:
    assert features()(Jagged.pack([torch.zeros(1000)])).values.isfinite().all()


def test_a_spectrum_keeps_its_digits_under_bfloat16() -> None:
    torch.manual_seed(0)
    audio = Jagged.pack([torch.randn(1000)])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = features()(audio).values
    torch.testing.assert_close(found, features()(audio).values)
