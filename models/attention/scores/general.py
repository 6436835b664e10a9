"""The bilinear score."""

from __future__ import annotations

from torch import Tensor

from saccade.models.attention.scores.head_linear import HeadLinear
from saccade.models.attention.scores.score import Score
from saccade.models.registry import register


@register("score", "general")
class General(Score):
    """qᵀ W k, a W for every query head.

    ("Effective Approaches to Attention-based Neural Machine Translation", Luong et al. 2015, section 3.1: general.) It
    is the dot product of Wᵀ q and k: queries are mapped once, and pairs cost no more than a dot product.

    Args:
        dim: features D of a head.
        heads: query heads.
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        # D² products of features of variance 1 sum to a score of variance 1: no scale is needed at the start.
        self.query = HeadLinear(heads, dim, dim, standard_deviation=1 / dim)

    def prepare(self, query: Tensor, key: Tensor) -> tuple[Tensor, Tensor]:
        """See Score."""
        return self.query(query), key
