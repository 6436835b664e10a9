"""A linear score of query and key laid end to end."""

from __future__ import annotations

import torch
from torch import Tensor

from saccade.models.attention.scores.head_linear import HeadLinear
from saccade.models.attention.scores.score import Score
from saccade.models.registry import register


@register("score", "concat")
class Concat(Score):
    """w · [q; k], a w for every query head (its key half for every key head).

    It falls into w_q · q + w_k · k, the dot product of [w_q · q, 1] and [1, w_k · k]. The first term is the same for
    all of a query's keys: a softmax takes it out again, a sigmoid doesn't. With a tanh in between ("concat" in Luong et
    al. 2015, section 3.1) it is the score ``additive``.

    Args:
        dim: features of a head.
        heads: query heads.
        key_heads: key heads.
    """

    def __init__(self, dim: int, heads: int, key_heads: int) -> None:
        super().__init__()
        self.query = HeadLinear(heads, dim, 1)
        self.key = HeadLinear(key_heads, dim, 1)

    def prepare(self, query: Tensor, key: Tensor) -> tuple[Tensor, Tensor]:
        """See Score; two features each."""
        of_query, of_key = self.query(query), self.key(key)
        return (
            torch.cat((of_query, torch.ones_like(of_query)), dim=-1),
            torch.cat((torch.ones_like(of_key), of_key), dim=-1),
        )
