"""A stack of attention blocks over a jagged batch, which every model is built around."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from saccade.models.attention.block import AttentionBlock as AttentionBlock  # registers the block `transformer`
from saccade.models.attention.cache import DecodingCache
from saccade.models.attention.choice import PLAIN, TRANSFORMER, AttentionChoice
from saccade.models.attention.hstu import HSTU as HSTU  # registers `hstu`
from saccade.models.attention.ligr import LiGR as LiGR  # registers `ligr`
from saccade.models.attention.masks.mask import Mask
from saccade.models.jagged import Jagged, last_tokens
from saccade.models.registry import Choice


class Encoder(nn.Module):
    """Blocks, one after the other, and a last norm."""

    def __init__(
        self,
        dim: int,
        blocks: int,
        heads: int,
        hidden: int,
        dropout: float,
        max_length: int = 0,
        mask: Mask | None = None,
        attention: AttentionChoice = PLAIN,
        block: Choice = TRANSFORMER,
    ) -> None:
        """Build the blocks.

        Args:
            dim: features of a token.
            blocks: how many.
            heads: attention heads.
            hidden: width of the blocks' feed-forward network.
            dropout: probability, on what each branch adds.
            max_length: tokens of an example at most, for parts that need to know.
            mask: what every block hides from a token; None shows it its whole example.
            attention: the parts of the attention layers.
            block: of the registered kind ``block``.

        Raises:
            ValueError: a name that isn't registered, or a wrong option (``RegistryError`` is one).
        """
        super().__init__()
        known = {"dim": dim, "heads": heads, "hidden": hidden, "dropout": dropout, "max_length": max_length}
        self.blocks = nn.ModuleList(
            block.build("block", **known, mask=mask, attention=attention) for _ in range(blocks)
        )
        self.norm = nn.LayerNorm(dim)

    def forward(self, tokens: Jagged, cache: DecodingCache | None = None) -> Tensor:
        """[T, D] -> [T, D].

        Args:
            tokens: the batch, or with ``cache`` the next tokens of each example, in a layout that the cache made.
            cache: what earlier steps of decoding left.
        """
        if tokens.layout.last_only and cache is None and len(self.blocks) and hasattr(self.blocks[-1], "last"):
            return self._last(tokens)
        for block, remembered in zip(self.blocks, cache or [None] * len(self.blocks), strict=True):
            tokens = block(tokens) if remembered is None else block(tokens, remembered)
        hidden: Tensor = self.norm(tokens.values)
        return hidden

    def _last(self, tokens: Jagged) -> Tensor:
        """[T, D], zero at all tokens but the last ones: nobody after the last block looks at the others."""
        for block in self.blocks[:-1]:
            tokens = block(tokens)
        final: Any = self.blocks[-1]
        hidden = torch.zeros_like(tokens.values)
        hidden[last_tokens(tokens.layout)] = self.norm(final.last(tokens))
        return hidden
