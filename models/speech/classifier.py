"""A classifier of recordings."""

from __future__ import annotations

from torch import Tensor, nn

from saccade.models.attention.positions import SinusoidalPositions
from saccade.models.classifier import SequenceClassifier
from saccade.models.jagged import Jagged
from saccade.models.speech.log_mel import LogMel
from saccade.models.speech.masking import SpectrogramMasking
from saccade.models.speech.stacking import stack


class SpeechClassifier(nn.Module):
    """Samples -> log-mel frames -> stacked into tokens -> encoder -> attention pooling -> classes."""

    def __init__(
        self,
        *,
        classes: int,
        features: LogMel,
        stacked: int,
        dim: int,
        blocks: int,
        heads: int,
        hidden: int,
        dropout: float,
        reach: int,
        masked_bands: float,
        masked_time: float,
    ) -> None:
        """``stacked`` frames make a token; ``hidden`` is the width of the blocks' MLP; see SpectrogramMasking."""
        super().__init__()
        self.features = features
        self.masking = SpectrogramMasking(masked_bands, masked_time)
        self.stacked = stacked
        self.projection = nn.Linear(stacked * features.mels, dim)
        self.positions = SinusoidalPositions(dim)
        self.classifier = SequenceClassifier(
            classes=classes, dim=dim, blocks=blocks, heads=heads, hidden=hidden, dropout=dropout, reach=reach
        )

    def forward(self, audio: Jagged) -> Tensor:
        """Samples [T] in -1 .. 1 -> [B, C] logits."""
        frames = stack(self.masking(self.features(audio)), self.stacked)
        values = self.projection(frames.values) + self.positions(frames.layout)
        logits: Tensor = self.classifier(frames.with_values(values))
        return logits
