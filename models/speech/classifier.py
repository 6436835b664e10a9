"""A classifier of recordings."""

from __future__ import annotations

from torch import Tensor, nn

from saccade.models.attention.positions import SinusoidalPositions
from saccade.models.dropout import Dropout
from saccade.models.encoder import Encoder
from saccade.models.jagged import Jagged
from saccade.models.local import LocalMixing
from saccade.models.pooling import AttentionPooling
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
        self.dropout = Dropout(dropout)
        self.local = LocalMixing(dim, reach)
        self.encoder = Encoder(dim, blocks, heads, hidden, dropout)
        self.pooling = AttentionPooling(dim)
        self.pooled_dropout = Dropout(dropout)
        self.classes = nn.Linear(dim, classes)

    def forward(self, audio: Jagged) -> Tensor:
        """Samples [T] in -1 .. 1 -> [B, C] logits."""
        frames = stack(self.masking(self.features(audio)), self.stacked)
        values = self.dropout(self.projection(frames.values) + self.positions(frames.layout))
        values = values + self.dropout(self.local(frames.with_values(values)))
        encoded = self.encoder(frames.with_values(values))
        logits: Tensor = self.classes(self.pooled_dropout(self.pooling(frames.with_values(encoded))))
        return logits
