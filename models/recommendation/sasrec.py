"""SASRec: the next item of a history by causal self-attention."""

from __future__ import annotations

from torch import Tensor, nn

from saccade.models.attention.block import AttentionBlock
from saccade.models.attention.positions import LearnedPositions
from saccade.models.dropout import Dropout
from saccade.models.jagged import Jagged


class SASRec(nn.Module):
    """Kang and McAuley's "Self-Attentive Sequential Recommendation" (2018) with pre-norm blocks, over packed histories.

    The item table is not here: items come in embedded, and the output is scored against the same table.
    """

    def __init__(self, dim: int, blocks: int, heads: int, hidden: int, dropout: float, max_length: int) -> None:
        """``hidden`` is the width of the blocks' MLP; ``max_length`` the number of positions."""
        super().__init__()
        self.scale = dim**0.5
        self.positions = LearnedPositions(max_length, dim, reversed=True)
        self.dropout = Dropout(dropout)
        self.blocks = nn.ModuleList(AttentionBlock(dim, heads, hidden, dropout, causal=True) for _ in range(blocks))
        self.norm = nn.LayerNorm(dim)

    def forward(self, items: Jagged) -> Tensor:
        """Embedded items [T, D] -> [T, D], at each token what predicts the item after it."""
        tokens = items.with_values(self.dropout(items.values * self.scale + self.positions(items.layout)))
        for block in self.blocks:
            tokens = block(tokens)
        hidden: Tensor = self.norm(tokens.values)
        return hidden
