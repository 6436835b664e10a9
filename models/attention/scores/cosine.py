"""The angle between query and key."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

from saccade.models.attention.scores.score import Score
from saccade.models.attention.scores.temperature import Temperature
from saccade.models.registry import register


@register("score", "cosine")
class Cosine(Score):
    """q · k / (t · max(|q|, epsilon) · max(|k|, epsilon)), never beyond 1 / t.

    ("Swin Transformer V2", Liu et al. 2022, section 3.3: scaled cosine attention.) A vector of zeros scores 0.

    Args:
        heads: query heads.
        temperature: t, or where it starts.
        learned: whether t is learned, one a query head.
        epsilon: a shorter vector than this isn't stretched to length 1, so its gradient has a bound of 1 / epsilon.

    Raises:
        ValueError: temperature or epsilon isn't positive.
    """

    def __init__(self, heads: int, temperature: float = 0.1, learned: bool = True, epsilon: float = 1e-4) -> None:
        super().__init__()
        for option, value, usual in (("temperature", temperature, 0.1), ("epsilon", epsilon, 1e-4)):
            if not 0 < value < float("inf"):
                raise ValueError(f"cosine: {option}={value} isn't positive: {usual} is a good start")
        self.temperature = temperature
        self.epsilon = epsilon
        self.learned = Temperature(heads, temperature) if learned else None

    def scale(self, dim: int) -> float:
        """See Score; a learned temperature is in the prepared queries."""
        return 1 / self.temperature if self.learned is None else 1.0

    def prepare(self, query: Tensor, key: Tensor) -> tuple[Tensor, Tensor]:
        """See Score."""
        query, key = self.unit(query), self.unit(key)
        return query if self.learned is None else self.learned(query), key

    def unit(self, vectors: Tensor) -> Tensor:
        """Vectors of length 1, in the dtype given; half precision is computed in float32, lest squares overflow."""
        wide = vectors.to(torch.promote_types(vectors.dtype, torch.float32))
        return normalize(wide, dim=-1, eps=self.epsilon).to(vectors.dtype)
