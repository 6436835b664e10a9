"""The Transformer block over a jagged batch."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from saccade.models.attention.cache import KeyValueCache
from saccade.models.attention.choice import PLAIN, AttentionChoice
from saccade.models.attention.masks.mask import Mask
from saccade.models.dropout import Dropout
from saccade.models.feed_forward import Activation, FeedForward
from saccade.models.jagged import Jagged
from saccade.models.registry import register


@register("block", "transformer")
class AttentionBlock(nn.Module):
    """Attention, then a feed-forward network, each added to what it got, with dropout on what it adds.

    With ``norm="pre"``: x + attention(norm(x)), then x + network(norm(x)) ("On Layer Normalization in the Transformer
    Architecture", Xiong et al. 2020), which trains without warm-up. With ``norm="post"``: norm(x + attention(x)), then
    norm(x + network(x)), as in "Attention Is All You Need".
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
        norm: Literal["pre", "post"] = "pre",
        activation: Activation = "gelu",
        gated: bool = False,
    ) -> None:
        """Make the layers.

        Args:
            dim: features of a token.
            heads: attention heads.
            hidden: features between the two layers of the feed-forward network.
            dropout: probability, on both branches and inside the network.
            max_length: tokens of an example at most, for parts of the attention that need to know.
            mask: what the model hides from each token.
            attention: the parts of the attention layer.
            norm: ``pre`` or ``post``.
            activation: of the feed-forward network.
            gated: whether that network has a gate.

        Raises:
            ValueError: ``norm`` is another word, or a part of the attention can't be made.
        """
        super().__init__()
        if norm not in ("pre", "post"):
            raise ValueError(f"norm={norm!r}: choose pre or post")
        self.pre = norm == "pre"
        self.attention_norm = nn.LayerNorm(dim)
        self.attention = attention.layer(dim, heads, max_length, mask)
        self.mlp_norm = nn.LayerNorm(dim)
        self.mlp = FeedForward(dim, hidden, dropout, activation, gated=gated)
        self.dropout = Dropout(dropout)

    def forward(self, tokens: Jagged, cache: KeyValueCache | None = None, *, only_last: bool = False) -> Jagged:
        """[T, D] -> [T, D].

        Args:
            tokens: the batch.
            cache: remembers earlier steps of decoding.
            only_last: give the last token of each example and no other.
        """
        normed = tokens.with_values(self.attention_norm(tokens.values)) if self.pre else tokens
        found = self.dropout(self.attention(normed, cache=cache, only_last=only_last))
        tokens = tokens.last() if only_last else tokens
        values: Tensor = tokens.values + found
        if self.pre:
            return tokens.with_values(values + self.dropout(self.mlp(self.mlp_norm(values))))
        values = self.attention_norm(values)
        return tokens.with_values(self.mlp_norm(values + self.dropout(self.mlp(values))))
