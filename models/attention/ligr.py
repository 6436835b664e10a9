"""The gated block of LiGR and eSASRec: each branch decides, feature by feature, how much of what it found it adds."""

from __future__ import annotations

import torch
from torch import nn

from saccade.models.attention.cache import KeyValueCache
from saccade.models.attention.choice import PLAIN, AttentionChoice
from saccade.models.attention.masks.mask import Mask
from saccade.models.dropout import Dropout
from saccade.models.feed_forward import Activation, FeedForward
from saccade.models.jagged import Jagged
from saccade.models.products import Linear
from saccade.models.registry import register


@register("block", "ligr")
class LiGR(nn.Module):
    """x + σ(G x) ⊙ attention(norm(x)), then y + σ(H y) ⊙ swiglu(norm(y)), with dropout on what the branches found.

    ("From Features to Transformers: Redefining Ranking for Scalable Impact", Borisyuk et al. 2025; in "eSASRec:
    Enhancing Transformer-based Recommendations in a Modular Fashion", Tikhonovich et al. 2025, it is what gained most
    after the sampled softmax.) The gates cost 2 · dim² parameters more than the Transformer block has.
    """

    def __init__(
        self,
        dim: int,
        heads: int,
        hidden: int,
        dropout: float,
        max_length: int = 0,
        mask: Mask | None = None,
        attention: AttentionChoice = PLAIN,
        *,
        activation: Activation = "silu",
    ) -> None:
        """Make the layers.

        Args:
            dim: features of a token.
            heads: attention heads.
            hidden: features between the two layers of the feed-forward network, which has a gate of its own.
            dropout: probability, on both branches and inside the network.
            max_length: tokens of an example at most, for parts of the attention that need to know.
            mask: what the model hides from each token.
            attention: the parts of the attention layer.
            activation: of the feed-forward network's gate; ``silu`` makes it SwiGLU.

        Raises:
            ValueError: no such activation, or a part of the attention can't be made.
        """
        super().__init__()
        self.attention_norm = nn.LayerNorm(dim)
        self.attention = attention.layer(dim, heads, max_length, mask)
        self.attention_gate = Linear(dim, dim)
        self.mlp_norm = nn.LayerNorm(dim)
        self.mlp = FeedForward(dim, hidden, dropout, activation, gated=True)
        self.mlp_gate = Linear(dim, dim)
        self.dropout = Dropout(dropout)

    def forward(self, tokens: Jagged, cache: KeyValueCache | None = None, *, only_last: bool = False) -> Jagged:
        """[T, D] -> [T, D]; the arguments are those of ``AttentionBlock``."""
        normed = tokens.with_values(self.attention_norm(tokens.values))
        found = self.attention(normed, cache=cache, only_last=only_last)
        tokens = tokens.last() if only_last else tokens
        values = tokens.values
        values = values + torch.sigmoid(self.attention_gate(values)) * self.dropout(found)
        found = self.mlp(self.mlp_norm(values))
        return tokens.with_values(values + torch.sigmoid(self.mlp_gate(values)) * self.dropout(found))
