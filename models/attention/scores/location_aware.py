"""The additive score that also sees where the previous query looked."""

from __future__ import annotations

from torch import Tensor, nn

from saccade.models.attention.scores.additive import Additive
from saccade.models.attention.scores.head_linear import HeadLinear
from saccade.models.registry import register


@register("score", "location_aware")
class LocationAware(Additive):
    """v · tanh(W q_i + U k_j + V f_ij + b) with f_i = F ∗ α_{i-1}, all of its own weights in every head.

    α_{i-1} are the attention weights of the query before (zero before the first), and F are filters over the keys
    around j. So a query can attend a little further along than the last one did, as it must in speech ("Attention-Based
    Models for Speech Recognition", Chorowski et al. 2015, section 2.1, equations 8 and 9). Queries are computed one
    after the other. A padded key has a weight of zero and the convolution pads with zeros, so padding changes nothing.

    Args:
        dim: features of a head.
        heads: query heads.
        key_heads: key heads.
        hidden: features of the tanh; None for ``dim``.
        filters: filters of F.
        width: keys that a filter spans, half of them on either side; odd.

    Raises:
        ValueError: an option out of its range.
    """

    sequential = True

    def __init__(
        self,
        dim: int,
        heads: int,
        key_heads: int,
        hidden: int | None = None,
        filters: int = 10,
        width: int = 31,
    ) -> None:
        super().__init__(dim, heads, key_heads, hidden)
        if filters < 1:
            raise ValueError(f"location_aware: filters={filters} sees no location: set 1 or more")
        if width < 1 or width % 2 == 0:
            raise ValueError(f"location_aware: width={width} has no middle: set an odd number of keys, 31 say")
        self.filters = nn.Conv1d(heads, heads * filters, width, padding=width // 2, groups=heads, bias=False)
        self.location = HeadLinear(heads, filters, self.vector.shape[1])

    def forward(self, query: Tensor, key: Tensor, previous: Tensor | None = None) -> Tensor:
        """See Score: one query at a time, Lq = 1."""
        if query.shape[2] != 1:
            raise ValueError(
                f"location_aware: {query.shape[2]} queries at once: each needs the weights of the one before"
            )
        if previous is not None and previous.shape[-1]:
            features = self.filters(previous).unflatten(1, (query.shape[1], -1))  # [N, H, filters, Lk]
            key = key + self.location(features.permute(0, 3, 1, 2)).transpose(1, 2)
        return super().forward(query, key)
