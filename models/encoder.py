"""The bidirectional Transformer encoder over a jagged batch, which text and speech share."""

from __future__ import annotations

from torch import Tensor, nn

from saccade.models.attention.block import AttentionBlock
from saccade.models.jagged import Jagged


class Encoder(nn.Module):
    """Pre-norm attention blocks in which every token sees its whole example, and a last norm."""

    def __init__(self, dim: int, blocks: int, heads: int, hidden: int, dropout: float) -> None:
        """``hidden`` is the width of the blocks' MLP."""
        super().__init__()
        self.blocks = nn.ModuleList(AttentionBlock(dim, heads, hidden, dropout, causal=False) for _ in range(blocks))
        self.norm = nn.LayerNorm(dim)

    def forward(self, tokens: Jagged) -> Tensor:
        """[T, D] -> [T, D]."""
        for block in self.blocks:
            tokens = block(tokens)
        hidden: Tensor = self.norm(tokens.values)
        return hidden
