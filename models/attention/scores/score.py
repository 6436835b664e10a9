"""How well a query and a key match: the first part of an attention formula."""

from __future__ import annotations

from torch import Tensor, nn


class Score(nn.Module):
    """The dot product of query and key, and the base of every other score.

    A score works in two steps. ``prepare`` maps queries and keys token by token, over the packed batch, where nothing
    is padded; ``forward`` then scores pairs. A score that only changes ``prepare`` (and ``scale``) stays a dot product,
    for which every backend has a fast kernel; one that changes ``forward`` is left to the backends that score pairs.

    Parameters belong in submodules (``nn.Linear``, …) that the methods call: ZeRO 3 fetches a parameter when the module
    that owns it is called.
    """

    sequential = False
    """Whether a query's scores depend on the weights of the query before it; see ``LocationAware``."""

    @property
    def product(self) -> bool:
        """Whether the score of a pair is ``scale`` times the dot product of what ``prepare`` gives."""
        return type(self).forward is Score.forward

    def scale(self, dim: int) -> float:
        """The factor on the dot product of vectors of ``dim`` features, as ``prepare`` gets them."""
        return 1.0

    def prepare(self, query: Tensor, key: Tensor) -> tuple[Tensor, Tensor]:
        """Map tokens: query [T, H, D] and key [S, G, D] (G key heads, a divisor of H), each to any last dimension."""
        return query, key

    def forward(self, query: Tensor, key: Tensor, previous: Tensor | None = None) -> Tensor:
        """Score pairs: prepared [N, H, Lq, D] and [N, H, Lk, D] -> [N, H, Lq, Lk], ``scale`` not yet applied.

        Args:
            query: N examples of Lq queries.
            key: their Lk keys, one set a head.
            previous: for a sequential score, the weights [N, H, Lk] of the query before (zeros before the first).
        """
        return query @ key.transpose(-1, -2)
