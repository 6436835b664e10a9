"""BERT4Rec: items that were hidden in a history, found again from those on both sides of them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from saccade.models.attention.choice import FROM_END, TRANSFORMER, AttentionChoice
from saccade.models.dropout import Dropout
from saccade.models.encoder import Encoder
from saccade.models.jagged import Jagged
from saccade.models.registry import Choice


class BERT4Rec(nn.Module):
    """A bidirectional encoder of histories in which a learned vector stands for the items that are hidden.

    ("BERT4Rec: Sequential Recommendation with Bidirectional Encoder Representations from Transformer", Sun et al. 2019,
    without its last projection and its bias an item: the output is scored against the item table like every model's.)
    A history teaches only as many items as are hidden in it, so training takes more passes than a causal model's.
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
        self.mask = nn.Parameter(torch.randn(dim) * 0.02)
        self.positions = attention.token_positions(dim, max_length)
        self.dropout = Dropout(dropout)
        self.encoder = Encoder(dim, blocks, heads, hidden, dropout, max_length, None, attention, block)

    def forward(self, items: Jagged, hidden: Tensor | None = None) -> Tensor:
        """What each token's item is taken for.

        Args:
            items: embedded items [T, D].
            hidden: [T] bool, the tokens in whose place the mask's vector stands; None for none.

        Returns:
            [T, D].
        """
        if hidden is None:
            hidden = torch.zeros(items.layout.total, dtype=torch.bool, device=items.values.device)
        # Multiplied in the end as items are, the mask's vector has their size.
        values = torch.where(hidden[:, None], self.mask.to(items.values.dtype), items.values) * self.scale
        for position in self.positions:
            values = values + position(items.layout)
        found: Tensor = self.encoder(items.with_values(self.dropout(values)))
        return found
