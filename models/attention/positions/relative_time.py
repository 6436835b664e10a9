"""Relative times: a learned bias for how long ago, in buckets that widen with the time between."""

from __future__ import annotations

import math
from collections.abc import Hashable

from torch import Tensor

from saccade.models.attention.coordinates import Coordinates
from saccade.models.attention.positions.bucketed import BucketedBias
from saccade.models.registry import register


@register("position", "relative_time")
class RelativeTime(BucketedBias):
    """HSTU's bias of time ("Actions Speak Louder than Words", Zhai et al. 2024, section 3.2), a table a head.

    bucket = min(⌊ln(max(1, |t_query - t_key| / unit)) / divisor⌋, buckets - 1): with the divisor of its authors' code,
    0.301, each bucket is e^0.301 = 1.35 times as wide as the one before, and 128 of them last for any time there is.

    Differences are taken in the dtype of ``time``, then rounded to float32: give seconds since 1970 as int64 or
    float64, because float32 tells such moments apart by two minutes only.
    """

    def __init__(self, heads: int, buckets: int = 128, unit: float = 1.0, divisor: float = 0.301) -> None:
        """Make the table.

        Args:
            heads: heads of the layer.
            buckets: rows of the table; the last one is for all times beyond.
            unit: the finest difference that matters, in the unit of ``time``: 60 for minutes where it is in seconds.
            divisor: width of a bucket in natural logarithms of time.

        Raises:
            ValueError: no bucket, or a unit or divisor that isn't positive.
        """
        if buckets < 1:
            raise ValueError(f"position relative_time: buckets={buckets} must be at least 1")
        for name, value in (("unit", unit), ("divisor", divisor)):
            if not value > 0:
                raise ValueError(f"position relative_time: {name}={value} must be above 0")
        super().__init__(heads, buckets)
        self.unit = unit
        self.divisor = divisor
        # Cutting off what lies beyond the middle of the last bucket costs nothing together with the other end; e^88 is
        # nearly all that float32 holds.
        self.longest = math.exp(min(divisor * (buckets - 0.5), 88.0))

    def bucket(self, query: Coordinates, key: Coordinates) -> Tensor:
        """See BucketedBias; ValueError where the layout has no ``time``."""
        asker = "position relative_time"
        between = ((query.need("time", asker) - key.need("time", asker)) / self.unit).float()
        return (between.abs().clamp(1.0, self.longest).log() / self.divisor).long()

    @property
    def ruler(self) -> Hashable:
        """See BucketedBias."""
        return type(self), self.unit, self.divisor, self.longest

    def extra_repr(self) -> str:
        """Shown by ``print(module)``."""
        buckets, heads = self.weight.shape
        return f"{heads}, {buckets=}, unit={self.unit:g}, divisor={self.divisor:g}"
