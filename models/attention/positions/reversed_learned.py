"""Learned positions that count back from the newest token."""

from __future__ import annotations

from saccade.models.attention.positions.learned import LearnedPositions
from saccade.models.registry import register


@register("position", "reversed_learned")
class ReversedLearnedPositions(LearnedPositions):
    """``LearnedPositions`` counted from the end, under a name of its own."""

    def __init__(self, max_length: int, dim: int) -> None:
        """``max_length`` positions of ``dim`` features."""
        super().__init__(max_length, dim, reversed=True)
