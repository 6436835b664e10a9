"""The Transformer block over a jagged batch."""

from __future__ import annotations

from torch import Tensor, nn

from saccade.models.attention.multihead import MultiHeadAttention
from saccade.models.dropout import Dropout
from saccade.models.jagged import Jagged


class AttentionBlock(nn.Module):
    """x + attention(norm(x)), then x + MLP(norm(x)), dropout on each branch.

    Normalising before each branch ("On Layer Normalization in the Transformer Architecture", Xiong et al. 2020) trains
    without warm-up.
    """

    def __init__(self, dim: int, heads: int, hidden: int, dropout: float, *, causal: bool) -> None:
        """``hidden`` is the MLP's width; ``dropout`` the probability on both branches."""
        super().__init__()
        self.attention_norm = nn.LayerNorm(dim)
        self.attention = MultiHeadAttention(dim, heads, causal=causal)
        self.mlp_norm = nn.LayerNorm(dim)
        self.mlp = nn.Sequential(nn.Linear(dim, hidden), nn.GELU(), Dropout(dropout), nn.Linear(hidden, dim))
        self.dropout = Dropout(dropout)

    def forward(self, tokens: Jagged) -> Jagged:
        """[T, D] -> [T, D]."""
        values: Tensor = tokens.values
        values = values + self.dropout(self.attention(tokens.with_values(self.attention_norm(values))))
        values = values + self.dropout(self.mlp(self.mlp_norm(values)))
        return tokens.with_values(values)
