"""A stack of attention blocks over a jagged batch, which every model is built around."""

from __future__ import annotations

from inspect import signature

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
        # After the last block nobody looks at other tokens than the last; blocks from elsewhere may not know of that.
        self.spares = blocks > 0 and "only_last" in signature(self.blocks[-1].forward).parameters

    def forward(self, tokens: Jagged, cache: DecodingCache | None = None) -> Tensor:
        """[T, D] -> [T, D]; zero at all tokens but the last ones where only those are looked at (``Layout.for_last``).

        Args:
            tokens: the batch, or with ``cache`` the next tokens of each example, in a layout that the cache made.
            cache: what earlier steps of decoding left.
        """
        layout = tokens.layout
        spare = self.blocks[-1] if layout.last_only and cache is None and self.spares else None
        for block, remembered in zip(self.blocks, cache or [None] * len(self.blocks), strict=True):
            if block is spare:
                tokens = block(tokens, only_last=True)
            else:
                tokens = block(tokens) if remembered is None else block(tokens, remembered)
        hidden: Tensor = self.norm(tokens.values)
        if spare is None:
            return hidden
        return hidden.new_zeros(layout.total, hidden.shape[1]).index_copy(0, last_tokens(layout), hidden)
