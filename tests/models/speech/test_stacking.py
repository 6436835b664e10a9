"""Neighbouring frames as one token."""

import torch

from saccade.models.jagged import Jagged
from saccade.models.speech.stacking import stack


def test_frames_stand_end_to_end_and_the_last_repeats() -> None:
    frames = Jagged.pack([torch.arange(5.0)[:, None], torch.zeros(0, 1), torch.tensor([[7.0]])])
    stacked = stack(frames, 2)
    assert stacked.layout.lengths.tolist() == [3, 0, 1]
    assert stacked.values.tolist() == [[0, 1], [2, 3], [4, 4], [7, 7]]


def test_one_frame_a_token_changes_nothing() -> None:
    frames = Jagged.pack([torch.randn(3, 4), torch.randn(2, 4)])
    assert torch.equal(stack(frames, 1).values, frames.values)


def test_no_frames_give_no_tokens() -> None:
    assert stack(Jagged.pack([torch.zeros(0, 4)]), 3).values.shape == (0, 12)
