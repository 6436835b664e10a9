"""Learned biases that are looked up in a table: what relative positions and relative times have in common.

Each of N · H · Lq · Lk pairs reads a table of a few rows, and the backward pass adds as many numbers into it: that is
what costs. Forward and backward on one core, in milliseconds, with 32 rows for positions and 128 for times:

| how | positions, N=1, L=200, H=2 | H=8 | times, N=50, L=200, H=2 |
|---|---|---|---|
| ``gather``, a table an example (here) | 0.2 | 0.7 | 11 |
| ``index_select`` a head | 0.2 | 1.0 | 16 |
| indexing, ``weight[bucket, head]`` | 0.5 | 1.9 | 37 |
| ``torch.nn.functional.embedding`` | 2.0 | 2.5 | 102 |
| one-hot times table | 3.8 | 4.1 | 1 GB of ones |

Finding the rows comes on top: 0.1 ms for these positions, 7 ms for these times. So layers that measure alike share
what they found for a batch (``ruler``).
"""

from __future__ import annotations

from collections.abc import Hashable

import torch
from torch import Tensor, nn

from saccade.models.attention.coordinates import Coordinates
from saccade.models.attention.positions.position import Bias


class BucketedBias(Bias):
    """Bias of head h = weight[bucket(i, j), h], weight [buckets, H].

    The table starts at zero: the heads differ by their projections already, so nothing has to tell them apart, and a
    bucket that training never meets goes on saying nothing.
    """

    def __init__(self, heads: int, buckets: int) -> None:
        """A table of ``buckets`` rows for ``heads`` heads."""
        super().__init__(heads)
        self.weight = nn.Parameter(torch.zeros(buckets, heads))

    def bucket(self, query: Coordinates, key: Coordinates) -> Tensor:
        """The row of each pair, int64, element by element as ``at``."""
        raise NotImplementedError

    @property
    def ruler(self) -> Hashable:
        """What ``bucket`` depends on besides coordinates: layers with equal rulers find the same rows."""
        raise NotImplementedError

    def at(self, head: Tensor, query: Coordinates, key: Coordinates) -> Tensor:
        """See Bias."""
        return self.weight[self.bucket(query, key), head]

    def forward(self, query: Coordinates, key: Coordinates) -> Tensor:
        """See Bias."""
        return self.of(self.bucket(query, key))

    def of(self, bucket: Tensor) -> Tensor:
        """The biases of pairs whose rows were found: [N or 1, 1, Lq, Lk] -> [N or 1, H, Lq, Lk]."""
        wide = torch.promote_types(self.weight.dtype, torch.float32)  # CUDA sums gradients in it, over all pairs
        table = self.weight.to(wide).t().expand(len(bucket), -1, -1)
        values = table.gather(2, bucket.flatten(2).expand(-1, self.heads, -1))
        return values.view(len(bucket), self.heads, *bucket.shape[2:]).to(self.weight.dtype)
