"""The plain dot product."""

from __future__ import annotations

from saccade.models.attention.scores.score import Score
from saccade.models.registry import register


@register("score", "dot")
class Dot(Score):
    """q · k.

    ("Effective Approaches to Attention-based Neural Machine Translation", Luong et al. 2015, section 3.1: dot.)
    """
