"""A classifier of recordings."""

from __future__ import annotations

from torch import Tensor, nn

from saccade.models.attention.choice import SINUSOIDAL, TRANSFORMER, AttentionChoice
from saccade.models.classifier import SequenceClassifier
from saccade.models.jagged import Jagged
from saccade.models.products import Linear
from saccade.models.registry import Choice
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
        max_length: int,
        attention: AttentionChoice = SINUSOIDAL,
        block: Choice = TRANSFORMER,
    ) -> None:
        """``stacked`` frames make a token; ``max_length`` counts frames; see SpectrogramMasking and Encoder."""
        super().__init__()
        self.features = features
        self.masking = SpectrogramMasking(masked_bands, masked_time)
        self.stacked = stacked
        self.projection = Linear(stacked * features.mels, dim)
        tokens = -(-max_length // stacked)
        self.positions = attention.token_positions(dim, tokens)
        self.classifier = SequenceClassifier(
            classes=classes,
            dim=dim,
            blocks=blocks,
            heads=heads,
            hidden=hidden,
            dropout=dropout,
            reach=reach,
            max_length=tokens,
            attention=attention,
            block=block,
        )

    def forward(self, audio: Jagged) -> Tensor:
        """Samples [T] in -1 .. 1 -> [B, C] logits."""
        frames = stack(self.masking(self.features(audio)), self.stacked)
        values = self.projection(frames.values)
        for position in self.positions:
            values = values + position(frames.layout)
        logits: Tensor = self.classifier(frames.with_values(values))
        return logits
