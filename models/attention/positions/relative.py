"""Relative positions: a learned bias for each distance, far ones sharing theirs."""

from __future__ import annotations

import math
from collections.abc import Hashable

import torch
from torch import Tensor

from saccade.models.attention.coordinates import Coordinates
from saccade.models.attention.positions.bucketed import BucketedBias
from saccade.models.registry import register


@register("position", "relative")
class RelativePosition(BucketedBias):
    """T5's relative positions ("Exploring the Limits of Transfer Learning …", Raffel et al. 2020, section 2.1).

    With n = |i - j| for query i and key j, the bucket is n itself up to half the buckets, E; beyond, it grows with the
    logarithm of n and ends at ``max_distance``: E + ⌊(B - E) · ln(n / E) / ln(max_distance / E)⌋, B - 1 at most.
    Bidirectional, B is half of ``buckets`` and keys after the query have the second half; else they all share bucket 0
    with the query itself, as under a causal mask they are never seen.
    """

    rows: Tensor

    def __init__(self, heads: int, buckets: int = 32, max_distance: int = 128, bidirectional: bool = True) -> None:
        """Make the table.

        Args:
            heads: heads of the layer.
            buckets: rows of the table; even, and at least 4, where it is bidirectional, else at least 2.
            max_distance: from here on all distances share a bucket; more than half of B.
            bidirectional: tell keys after the query from those before it.

        Raises:
            ValueError: too few buckets, an odd number of them, or too small a distance.
        """
        least = 4 if bidirectional else 2
        if buckets < least or (bidirectional and buckets % 2):
            raise ValueError(
                f"position relative: buckets={buckets} must be "
                + ("an even number of at least 4, half for each direction" if bidirectional else "at least 2")
            )
        side = buckets // 2 if bidirectional else buckets
        exact = side // 2
        if max_distance <= exact:
            raise ValueError(
                f"position relative: max_distance={max_distance} must be more than {exact}, the distances that have a "
                f"bucket of their own with buckets={buckets}: raise it, or choose fewer buckets"
            )
        super().__init__(heads, buckets)
        self.max_distance = max_distance
        self.bidirectional = bidirectional

        def row(distance: int) -> int:
            if distance < exact:
                return distance
            # The logarithms of whole powers come out a little below them now and then.
            part = math.log(distance / exact) / math.log(max_distance / exact) + 1e-9
            return min(exact + int((side - exact) * part), side - 1)

        # The row of key - query, from -max_distance to max_distance: no device rounds a logarithm in its own way.
        before = [row(distance) for distance in range(max_distance, -1, -1)]
        after = [side + row(d) if bidirectional else 0 for d in range(1, max_distance + 1)]
        self.register_buffer("rows", torch.tensor(before + after), persistent=False)

    def bucket(self, query: Coordinates, key: Coordinates) -> Tensor:
        """See BucketedBias."""
        ahead = (key.position - query.position).clamp(-self.max_distance, self.max_distance)
        return self.rows[ahead + self.max_distance]

    @property
    def ruler(self) -> Hashable:
        """See BucketedBias."""
        return type(self), len(self.weight), self.max_distance, self.bidirectional

    def extra_repr(self) -> str:
        """Shown by ``print(module)``."""
        buckets, heads = self.weight.shape
        return f"{heads}, {buckets=}, max_distance={self.max_distance}, bidirectional={self.bidirectional}"
