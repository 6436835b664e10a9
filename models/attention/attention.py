"""Attention with every part to choose: the heart, without projections."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from saccade.models.attention.backends.choose import AUTO, check_name, choose
from saccade.models.attention.backends.reference import example_weights
from saccade.models.attention.cache import KeyValueCache
from saccade.models.attention.coordinates import coordinates
from saccade.models.attention.formula import Formula
from saccade.models.attention.masks.mask import Mask
from saccade.models.attention.normalizers.normalizer import Normalizer
from saccade.models.attention.normalizers.softmax import Softmax
from saccade.models.attention.positions.position import Bias, Position, Rotation
from saccade.models.attention.scores.scaled_dot import ScaledDot
from saccade.models.attention.scores.score import Score
from saccade.models.jagged import Jagged


class Attention(nn.Module):
    """Each query's weighted mean of its example's values; see ``Formula``.

    Self-attention where queries and keys share a layout, cross-attention where an example's keys are others than its
    queries, and target attention (DIN's) where each example has one query.
    """

    def __init__(
        self,
        score: Score | None = None,
        normalizer: Normalizer | None = None,
        mask: Mask | None = None,
        positions: Sequence[Position] = (),
        backend: str = AUTO,
    ) -> None:
        """Put the parts together.

        Args:
            score: of each pair; None for the scaled dot product.
            normalizer: from scores to weights; None for softmax.
            mask: which pairs may meet; None for all pairs of an example.
            positions: rotations and biases. Positions that are added to tokens belong before the first layer.
            backend: what computes it (``saccade.models.attention.backends``), or ``auto``.

        Raises:
            ValueError: no such backend, or a position that can't act inside attention.
        """
        super().__init__()
        outside = [type(p).__name__ for p in positions if not isinstance(p, Rotation | Bias)]
        if outside:
            raise ValueError(f"{', '.join(outside)} acts on tokens before the first layer, not inside attention")
        self.score = ScaledDot() if score is None else score
        self.normalizer = Softmax() if normalizer is None else normalizer
        self.rotations = nn.ModuleList(p for p in positions if isinstance(p, Rotation))
        self.biases = nn.ModuleList(p for p in positions if isinstance(p, Bias))
        self.mask = mask
        self.backend = check_name(backend)

    @property
    def formula(self) -> Formula:
        """What is computed."""
        return Formula(self.score, self.normalizer, self.mask, tuple(self.biases))  # type: ignore[arg-type]

    def forward(
        self, query: Jagged, key: Jagged, value: Tensor, cache: KeyValueCache | None = None, *, only_last: bool = False
    ) -> Tensor:
        """Attend inside each example.

        Args:
            query: [T, H, D].
            key: [S, G, D] for as many examples, with G key heads, a divisor of H.
            value: [S, G, E].
            cache: what earlier calls' keys were kept in; the queries see those too, and these keys join them.
            only_last: answer the last query of each of N examples that have any, and leave the others out.

        Returns:
            [T, H, E], or [N, H, E] with ``only_last``; zeros for a query that may attend to nothing.

        Raises:
            ValueError: the backend can't compute this formula.
        """
        if only_last:
            if self.score.sequential:  # it looks at what the queries before have found
                return query.with_values(self(query, key, value, cache)).last().values
            query = query.last()
        query, key = self.prepare(query, key)
        if cache is not None:
            return cache.attend(self.formula, query, key, value)
        formula = self.formula
        return choose(self.backend, formula, query, key)(formula, query, key, value)

    def explain(self, query: Jagged, key: Jagged, examples: Sequence[int]) -> list[Tensor]:
        """The weights [H, Lq, Lk] of chosen examples, whichever backend computes the layer (they are made anew).

        Args:
            query: as for ``forward``.
            key: likewise.
            examples: their places in the batch.
        """
        query, key = self.prepare(query, key)
        return [example_weights(self.formula, query, key, example)[0] for example in examples]

    def prepare(self, query: Jagged, key: Jagged) -> tuple[Jagged, Jagged]:
        """Queries and keys as a backend takes them: rotated by their positions and mapped by the score."""
        if len(query) != len(key):
            raise ValueError(f"Attention: queries of {len(query)} examples can't attend to keys of {len(key)}")
        q, k = query.values, key.values
        for rotation in self.rotations:
            q = rotation(q, query.layout.derive(coordinates))
            k = rotation(k, key.layout.derive(coordinates))
        q, k = self.score.prepare(q, k)
        return query.with_values(q), key.with_values(k)

    def extra_repr(self) -> str:
        """Shown by ``print(module)``."""
        return f"mask={self.mask}, backend={self.backend}"
