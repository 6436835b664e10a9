"""Bands and stretches of time hidden in training."""

import torch

from saccade.models.jagged import Jagged
from saccade.models.speech.masking import SpectrogramMasking


def ones(*lengths: int) -> Jagged:
    return Jagged.pack([torch.ones(n, 10) for n in lengths])


def test_hides_one_run_of_each_kind_within_the_bounds() -> None:
    torch.manual_seed(0)
    masking = SpectrogramMasking(bands=0.3, time=0.4)
    widths = set()
    for _ in range(50):
        for frames in masking(ones(20, 5)).unpack():
            hidden_bands = (frames == 0).all(0)
            hidden_time = (frames == 0).all(1)
            assert torch.equal(frames == 0, hidden_bands[None, :] | hidden_time[:, None])
            assert hidden_bands.sum() <= 4
            assert hidden_time.sum() <= 0.4 * len(frames) + 1
            for hidden in (hidden_bands, hidden_time):
                assert int(hidden.int().diff().clamp(min=0).sum()) + int(hidden[0]) <= 1  # one run
            widths.add(int(hidden_time.sum()))
    assert len(widths) > 3


def test_evaluation_hides_nothing() -> None:
    frames = ones(20, 0)
    assert torch.equal(SpectrogramMasking(0.5, 0.5).eval()(frames).values, frames.values)


def test_nothing_asked_hides_nothing() -> None:
    assert SpectrogramMasking(0.0, 0.0)(ones(20, 3)).values.all()
