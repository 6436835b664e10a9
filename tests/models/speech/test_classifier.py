"""The speech classifier over packed samples."""

import torch

from saccade.models.jagged import Jagged
from saccade.models.speech.classifier import SpeechClassifier
from saccade.models.speech.log_mel import LogMel


def classifier() -> SpeechClassifier:
    torch.manual_seed(0)
    return SpeechClassifier(
        classes=3,
        features=LogMel(8000, mels=12, frame_ms=25.0, hop_ms=10.0),
        stacked=2,
        reach=1,
        dim=8,
        blocks=2,
        heads=2,
        hidden=16,
        dropout=0.3,
        masked_bands=0.2,
        masked_time=0.2,
        max_length=50,
    )


def test_neighbours_in_the_batch_leave_no_trace() -> None:
    network = classifier().eval()
    recordings = [torch.randn(n) * 0.1 for n in (900, 0, 150, 2000, 201)]
    together = network(Jagged.pack(recordings))
    alone = torch.cat([network(Jagged.pack([recording])) for recording in recordings])
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=1e-4)


def test_no_recording_keeps_every_parameter_in_the_graph() -> None:
    network = classifier()
    network(Jagged.pack([torch.zeros(0)])).sum().backward()
    assert all(p.grad is not None for p in network.parameters())


def test_the_features_are_not_learned_or_saved() -> None:
    assert not any(name.startswith("features") for name in classifier().state_dict())
