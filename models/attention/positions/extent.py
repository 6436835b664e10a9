"""How far the positions of a batch reach."""

from __future__ import annotations

from saccade.models.jagged import Layout


def extent(layout: Layout) -> int:
    """One more than the highest position of any token: the longest example, counted from where each began."""
    if layout.start is None or layout.total == 0:
        return layout.max_length
    return int((layout.lengths + layout.start)[layout.lengths > 0].max())
