"""The hierarchical sequential transduction unit: attention without softmax, for long and recurring behaviour."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import layer_norm, silu

from saccade.models.attention.attention import Attention
from saccade.models.attention.backends.choose import AUTO
from saccade.models.attention.cache import KeyValueCache
from saccade.models.attention.masks.mask import Mask
from saccade.models.attention.normalizers.silu import SiLU
from saccade.models.attention.positions.position import Position
from saccade.models.attention.positions.relative import RelativePosition
from saccade.models.attention.positions.relative_time import RelativeTime
from saccade.models.attention.scores.dot import Dot
from saccade.models.dropout import Dropout
from saccade.models.jagged import Jagged
from saccade.models.products import Linear
from saccade.models.registry import register


@register("block", "hstu")
class HSTU(nn.Module):
    """x + f2(norm(A v) ⊙ u) with u, v, q, k = split(SiLU(f1(norm(x)))) and A = SiLU(q kᵀ + bias) / max_length.

    ("Actions Speak Louder than Words", Zhai et al. 2024, equations 1 to 3.) The sum keeps how often something happened,
    which a softmax would take out. The bias depends on how far two tokens are apart, in places and in time. The length
    that A is divided by comes from the configuration: a batch's own would make an example depend on its batch-mates.
    """

    def __init__(
        self,
        dim: int,
        heads: int,
        dropout: float,
        max_length: int,
        mask: Mask | None = None,
        *,
        head_dim: int | None = None,
        buckets: int = 32,
        max_distance: int = 128,
        time_buckets: int = 0,
        time_unit: float = 1.0,
        backend: str = AUTO,
    ) -> None:
        """Make the layers.

        Args:
            dim: features of a token.
            heads: attention heads.
            dropout: probability, on what is added.
            max_length: tokens of an example at most.
            mask: what the model hides from each token.
            head_dim: features of a head's u, v, q and k each; None for dim / heads.
            buckets: of distances in places; 0 for no such bias.
            max_distance: places beyond which all distances share a bucket.
            time_buckets: of distances in time, for which the batch's layout needs times; 0 for no such bias.
            time_unit: the time that the first bucket ends at, in the data's own unit.
            backend: what computes attention, or ``auto``.

        Raises:
            ValueError: dim is no multiple of heads, and head_dim isn't set.
        """
        super().__init__()
        if head_dim is None and dim % heads:
            raise ValueError(f"dim={dim} can't be split into heads={heads}: choose a multiple of it, or set head_dim")
        self.heads, self.head_dim = heads, head_dim or dim // heads
        positions: list[Position] = []
        if buckets:
            positions.append(RelativePosition(heads, buckets=buckets, max_distance=max_distance))
        if time_buckets:
            positions.append(RelativeTime(heads, buckets=time_buckets, unit=time_unit))
        self.norm = nn.LayerNorm(dim)
        self.projection = Linear(dim, 4 * heads * self.head_dim)
        self.attention = Attention(Dot(), SiLU(max_length), mask, positions, backend)
        self.output = Linear(heads * self.head_dim, dim)
        self.dropout = Dropout(dropout)

    def forward(self, tokens: Jagged, cache: KeyValueCache | None = None, *, only_last: bool = False) -> Jagged:
        """[T, D] -> [T, D]; the arguments are those of ``AttentionBlock``."""
        mixed = silu(self.projection(self.norm(tokens.values))).unflatten(-1, (4, self.heads, self.head_dim))
        gate, value, query, key = mixed.unbind(1)
        asked, kept = tokens.with_values(query), tokens.with_values(key)
        attended = self.attention(asked, kept, value, cache, only_last=only_last).flatten(1)
        if only_last:
            gate, tokens = tokens.with_values(gate).last().values, tokens.last()
        gated = layer_norm(attended, attended.shape[1:]) * gate.flatten(1)
        added: Tensor = self.output(self.dropout(gated))
        return tokens.with_values(tokens.values + added)
