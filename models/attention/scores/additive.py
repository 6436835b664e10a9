"""The score of a small network over query and key."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from saccade.models.attention.scores.head_linear import HeadLinear
from saccade.models.attention.scores.score import Score
from saccade.models.registry import register

ELEMENTS = 1 << 20
"""Hidden features of pairs that are held at once (one query's of all examples at least): 4 MiB in float32.

Pieces that fit a cache are no slower on a CPU than all at once, although they compute each tanh twice.
"""


@register("score", "additive")
class Additive(Score):
    """v · tanh(W q + U k + b), of its own weights in every head (U: in every key head).

    ("Neural Machine Translation by Jointly Learning to Align and Translate", Bahdanau et al. 2015, appendix A.1.2.)
    W q + b and U k are made token by token; the tanh has to see every pair, N H Lq Lk ``hidden`` elements a call. Its
    memory has a bound all the same: beyond ``ELEMENTS`` queries go in pieces, and the backward pass computes each
    piece's tanh again instead of keeping it.

    Args:
        dim: features of a head.
        heads: query heads.
        key_heads: key heads.
        hidden: features of the tanh; None for ``dim``.

    Raises:
        ValueError: hidden isn't positive.
    """

    def __init__(self, dim: int, heads: int, key_heads: int, hidden: int | None = None) -> None:
        super().__init__()
        if hidden is not None and hidden < 1:
            raise ValueError(f"the score's hidden={hidden} is no width: set 1 or more, or null for the head's own")
        hidden = hidden or dim
        self.query = HeadLinear(heads, dim, hidden, bias=True)
        self.key = HeadLinear(key_heads, dim, hidden)
        self.vector = nn.Parameter(torch.randn(heads, hidden) * hidden**-0.5)

    def prepare(self, query: Tensor, key: Tensor) -> tuple[Tensor, Tensor]:
        """See Score: W q + b and U k."""
        return self.query(query), self.key(key)

    def forward(self, query: Tensor, key: Tensor, previous: Tensor | None = None) -> Tensor:
        """See Score."""
        rows = max(1, ELEMENTS // max(1, key.numel()))  # key.numel() is what one query row adds
        if query.shape[2] <= rows:
            return match(query, key, self.vector)
        pieces = query.split(rows, dim=2)
        matched = [
            checkpoint(match, x, key, self.vector, use_reentrant=False, preserve_rng_state=False) for x in pieces
        ]
        return torch.cat(matched, dim=2)


def match(query: Tensor, key: Tensor, vector: Tensor) -> Tensor:
    """The score v · tanh(q + k) of all pairs: [N, H, Lq, F], [N, H, Lk, F] and [H, F] -> [N, H, Lq, Lk]."""
    hidden = (query[:, :, :, None] + key[:, :, None]).tanh_()
    return (hidden.flatten(2, 3) @ vector[:, :, None]).view(hidden.shape[:-1])
