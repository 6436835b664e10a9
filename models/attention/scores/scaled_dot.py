"""The dot product that doesn't grow with the number of features."""

from __future__ import annotations

import math

from saccade.models.attention.scores.score import Score
from saccade.models.registry import register


@register("score", "scaled_dot")
class ScaledDot(Score):
    """q · k / √D ("Attention Is All You Need", Vaswani et al. 2017, section 3.2.1).

    With features of variance 1 the score has variance 1 as well, whatever D.
    """

    def scale(self, dim: int) -> float:
        """See Score."""
        return 1 / math.sqrt(dim)
