"""From a sequence of tokens to one of several classes: what text and speech share."""

from __future__ import annotations

from torch import Tensor, nn

from saccade.models.attention.choice import PLAIN, TRANSFORMER, AttentionChoice
from saccade.models.dropout import Dropout
from saccade.models.encoder import Encoder
from saccade.models.jagged import Jagged
from saccade.models.local import LocalMixing
from saccade.models.pooling import AttentionPooling
from saccade.models.registry import Choice


class SequenceClassifier(nn.Module):
    """Neighbours mixed in -> encoder -> attention pooling -> classes."""

    def __init__(
        self,
        *,
        classes: int,
        dim: int,
        blocks: int,
        heads: int,
        hidden: int,
        dropout: float,
        reach: int,
        max_length: int,
        attention: AttentionChoice = PLAIN,
        block: Choice = TRANSFORMER,
    ) -> None:
        """``reach`` neighbours on each side are mixed into a token; the other arguments are Encoder's."""
        super().__init__()
        self.dropout = Dropout(dropout)
        self.local = LocalMixing(dim, reach)
        self.encoder = Encoder(dim, blocks, heads, hidden, dropout, max_length, None, attention, block)
        self.pooling = AttentionPooling(dim)
        self.classes = nn.Linear(dim, classes)

    def forward(self, tokens: Jagged) -> Tensor:
        """[T, D] tokens, positions added -> [B, C] logits."""
        values = self.dropout(tokens.values)
        values = values + self.dropout(self.local(tokens.with_values(values)))
        encoded = self.encoder(tokens.with_values(values))
        logits: Tensor = self.classes(self.dropout(self.pooling(tokens.with_values(encoded))))
        return logits
