"""What every attention backend is, and what it must say of itself."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from saccade.models.attention.formula import Formula
from saccade.models.jagged import Jagged


class Backend(Protocol):
    """Computes a formula over packed tokens; all are held to ``reference``."""

    name: str

    def refuses(self, formula: Formula, query: Jagged, key: Jagged) -> str | None:
        """Why it can't compute this (a few words, for an error message), or None where it can."""

    def __call__(self, formula: Formula, query: Jagged, key: Jagged, value: Tensor) -> Tensor:
        """Attention inside each example.

        Args:
            formula: what to compute.
            query: [T, H, D], as ``score.prepare`` gives them.
            key: [S, G, D] over as many examples, G a divisor of H; the same layout object for self-attention.
            value: [S, G, E], packed as ``key`` is.

        Returns:
            [T, H, E]; zeros for a query that may attend to nothing.
        """
