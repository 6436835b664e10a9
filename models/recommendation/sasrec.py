"""SASRec: the next item of a history by causal self-attention."""

from __future__ import annotations

from torch import Tensor, nn

from saccade.models.attention.choice import FROM_END, TRANSFORMER, AttentionChoice
from saccade.models.attention.masks.causal import Causal
from saccade.models.dropout import Dropout
from saccade.models.encoder import Encoder
from saccade.models.jagged import Jagged
from saccade.models.registry import Choice


class SASRec(nn.Module):
    """Kang and McAuley's "Self-Attentive Sequential Recommendation" (2018) with pre-norm blocks, over packed histories.

    The item table is not here: items come in embedded, and the output is scored against the same table.
    """

    def __init__(
        self,
        dim: int,
        blocks: int,
        heads: int,
        hidden: int,
        dropout: float,
        max_length: int,
        attention: AttentionChoice = FROM_END,
        block: Choice = TRANSFORMER,
    ) -> None:
        """``hidden`` is the width of the blocks' MLP; ``max_length`` the number of positions; see Encoder."""
        super().__init__()
        self.scale = dim**0.5
        self.positions = attention.token_positions(dim, max_length)
        self.dropout = Dropout(dropout)
        self.encoder = Encoder(dim, blocks, heads, hidden, dropout, max_length, Causal(), attention, block)

    def forward(self, items: Jagged) -> Tensor:
        """Embedded items [T, D] -> [T, D], at each token what predicts the item after it."""
        values = items.values * self.scale
        for position in self.positions:
            values = values + position(items.layout)
        hidden: Tensor = self.encoder(items.with_values(self.dropout(values)))
        return hidden
