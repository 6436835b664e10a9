"""Multi-head self-attention over a jagged batch."""

from __future__ import annotations

from torch import Tensor, nn

from saccade.models.attention.backends import backend
from saccade.models.jagged import Jagged


class MultiHeadAttention(nn.Module):
    """Self-attention in several subspaces ("Attention Is All You Need", section 3.2.2).

    Queries, keys and values come from one fused projection. It has no bias: the key's has a gradient of zero in theory,
    which adaptive optimizers turn into whole steps of rounding noise.
    """

    def __init__(self, dim: int, heads: int, *, causal: bool, backend_name: str = "grouped") -> None:
        """``dim`` features in ``heads`` heads; ``causal`` hides later tokens. ValueError if dim is no multiple."""
        super().__init__()
        if dim % heads:
            raise ValueError(f"dim={dim} can't be split into heads={heads}: choose a dim that is a multiple of it")
        self.heads = heads
        self.causal = causal
        self.backend = backend(backend_name)
        self.projection = nn.Linear(dim, 3 * dim, bias=False)
        self.output = nn.Linear(dim, dim, bias=False)

    def forward(self, tokens: Jagged) -> Tensor:
        """[T, D] -> [T, D]."""
        projected = self.projection(tokens.values).unflatten(-1, (3, self.heads, -1))
        query, key, value = projected.unbind(1)
        attended = self.backend(query, key, value, tokens.layout, causal=self.causal)
        mixed: Tensor = self.output(attended.flatten(1))
        return mixed
