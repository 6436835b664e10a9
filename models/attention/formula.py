"""What an attention layer computes: score × normalizer × mask × biases, whichever backend computes it."""

from __future__ import annotations

from collections.abc import Hashable, MutableMapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from saccade.models.attention.coordinates import Coordinates
from saccade.models.attention.masks.mask import Mask
from saccade.models.attention.normalizers.normalizer import Normalizer
from saccade.models.attention.positions.bucketed import BucketedBias
from saccade.models.attention.positions.position import Bias
from saccade.models.attention.scores.score import Score


@dataclass(frozen=True, eq=False)
class Formula:
    """weights = normalizer(score(q, k) + biases, where the mask allows); output = weights · v.

    Attributes:
        score: of each pair.
        normalizer: from scores to weights.
        mask: which pairs may meet; None for all pairs of an example.
        biases: what positions add to the scores.
    """

    score: Score
    normalizer: Normalizer
    mask: Mask | None
    biases: Sequence[Bias]

    def __str__(self) -> str:
        parts = [type(self.score).__name__, type(self.normalizer).__name__]
        parts += [str(self.mask)] if self.mask else []
        return " × ".join([*parts, *(type(bias).__name__ for bias in self.biases)])

    def allowed(self, query: Coordinates, key: Coordinates) -> Tensor | None:
        """The mask of queries [..., Lq] and keys [..., Lk] as bool, broadcastable to [..., Lq, Lk]; None for all."""
        return None if self.mask is None else self.mask.allows(query.as_queries(), key.as_keys())

    def bias(
        self, query: Coordinates, key: Coordinates, buckets: MutableMapping[Hashable, Tensor] | None = None
    ) -> Tensor | None:
        """The sum of the biases of queries [N, Lq] and keys [N, Lk]: [N or 1, H, Lq, Lk], or None without any.

        ``buckets`` are those that earlier layers found for the same coordinates, by their ruler; this one's join them.
        """
        rows, columns = (x.map(lambda t: t[:, None]) for x in (query.as_queries(), key.as_keys()))
        total: Tensor | None = None
        for bias in self.biases:
            if buckets is not None and isinstance(bias, BucketedBias):
                if bias.ruler not in buckets:
                    buckets[bias.ruler] = bias.bucket(rows, columns)
                one = bias.of(buckets[bias.ruler])
            else:
                one = bias(rows, columns)
            total = one if total is None else total + one
        return total

    def weights(self, query: Tensor, key: Tensor, bias: Tensor | None, allowed: Tensor | None) -> Tensor:
        """The attention weights of prepared queries and keys, as the formula reads.

        Args:
            query: [N, H, Lq, D], as ``score.prepare`` gives them.
            key: [N, G, Lk, D], G a divisor of H: each key head serves H / G query heads.
            bias: broadcastable to [N, H, Lq, Lk]; None for zero.
            allowed: bool, likewise; None for all.

        Returns:
            [N, H, Lq, Lk].
        """
        key = spread_heads(key, query.shape[1])
        if not self.score.sequential:
            scores = self.score(query, key) * self.score.scale(query.shape[-1])
            weights: Tensor = self.normalizer(scores if bias is None else scores + bias, allowed)
            return weights
        rows = []
        previous = query.new_zeros(*query.shape[:2], key.shape[2])
        for row in range(query.shape[2]):  # each query's scores need the weights of the one before
            this = slice(row, row + 1)
            scores = self.score(query[:, :, this], key, previous) * self.score.scale(query.shape[-1])
            if bias is not None:
                scores = scores + (bias if bias.shape[2] == 1 else bias[:, :, this])
            here = None if allowed is None else allowed if allowed.shape[-2] == 1 else allowed[..., this, :]
            row_weights: Tensor = self.normalizer(scores, here)
            previous = row_weights.squeeze(2)
            rows.append(row_weights)
        return torch.cat(rows, dim=2) if rows else query.new_zeros(*query.shape[:3], key.shape[2])


def spread_heads(key: Tensor, heads: int) -> Tensor:
    """[N, G, L, D] -> [N, heads, L, D]: every key head repeated for the query heads that share it."""
    groups = key.shape[1]
    return key if groups == heads else key.repeat_interleave(heads // groups, dim=1)
