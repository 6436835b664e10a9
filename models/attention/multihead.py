"""Multi-head attention over jagged batches: projections around ``Attention``."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from saccade.models.attention.attention import Attention
from saccade.models.attention.cache import KeyValueCache
from saccade.models.jagged import Jagged
from saccade.models.products import Linear


class MultiHeadAttention(nn.Module):
    """Attention in several subspaces ("Attention Is All You Need", section 3.2.2).

    Queries, keys and values of self-attention come from one fused projection. Without ``bias``, none has one: the key's
    has a gradient of zero in theory, which adaptive optimizers turn into whole steps of rounding noise.

    Fewer ``key_heads`` than heads make grouped-query attention (Ainslie et al. 2023), one makes multi-query attention
    (Shazeer 2019): query heads then share keys and values.
    """

    def __init__(
        self,
        dim: int,
        heads: int,
        attention: Attention | None = None,
        *,
        key_heads: int | None = None,
        memory_dim: int | None = None,
        bias: bool = False,
    ) -> None:
        """Make the projections.

        Args:
            dim: features of a token.
            heads: query heads, each of dim / heads features.
            attention: what happens between the projections; None for scaled dot product and softmax, without a mask.
            key_heads: heads of keys and values, a divisor of ``heads``; None for as many.
            memory_dim: features of the other sequence's tokens, for cross-attention; None for self-attention.
            bias: whether projections have biases, as torch's own layer has.

        Raises:
            ValueError: dim is no multiple of heads, or heads none of key_heads.
        """
        super().__init__()
        key_heads = heads if key_heads is None else key_heads
        if dim % heads:
            raise ValueError(f"dim={dim} can't be split into heads={heads}: choose a dim that is a multiple of it")
        if not 0 < key_heads <= heads or heads % key_heads:
            raise ValueError(f"key_heads={key_heads} can't serve heads={heads}: choose a divisor of {heads}")
        self.heads, self.key_heads, self.head_dim = heads, key_heads, dim // heads
        self.attention = Attention() if attention is None else attention
        both = 2 * key_heads * self.head_dim
        if memory_dim is None:
            self.projection = Linear(dim, dim + both, bias=bias)
        else:
            self.query = Linear(dim, dim, bias=bias)
            self.memory = Linear(memory_dim, both, bias=bias)
        self.crosses = memory_dim is not None
        self.output = Linear(dim, dim, bias=bias)

    def forward(
        self,
        tokens: Jagged,
        memory: Jagged | None = None,
        *,
        cache: KeyValueCache | None = None,
        only_last: bool = False,
    ) -> Tensor:
        """Attend.

        Args:
            tokens: [T, dim].
            memory: [S, memory_dim] of as many examples, for cross-attention.
            cache: for step-by-step decoding: what this layer remembers, see ``KeyValueCache``.
            only_last: answer the last token of each of N examples that aren't empty, and no other.

        Returns:
            [T, dim], or [N, dim] with ``only_last``.
        """
        query, key, value = self._project(tokens, memory)
        mixed: Tensor = self.output(self.attention(query, key, value, cache, only_last=only_last).flatten(1))
        return mixed

    @torch.no_grad()
    def explain(
        self,
        tokens: Jagged,
        memory: Jagged | None = None,
        *,
        examples: Sequence[int],
        heads: Sequence[int] | None = None,
    ) -> list[Tensor]:
        """The attention weights of chosen examples, from whichever backend.

        Args:
            tokens: as for ``forward``.
            memory: likewise.
            examples: their places in the batch.
            heads: which heads; None for all.

        Returns:
            For each example [heads, queries, keys].
        """
        query, key, _ = self._project(tokens, memory)
        weights = self.attention.explain(query, key, examples)
        return weights if heads is None else [w[list(heads)] for w in weights]

    def _project(self, tokens: Jagged, memory: Jagged | None) -> tuple[Jagged, Jagged, Tensor]:
        if self.crosses != (memory is not None):
            wanted = "a memory, since memory_dim is set" if self.crosses else "no memory, since memory_dim isn't set"
            raise ValueError(f"this MultiHeadAttention takes {wanted}")
        shape = (self.heads + 2 * self.key_heads, self.head_dim)
        if memory is None:
            projected = self.projection(tokens.values).unflatten(-1, shape)
            query, key, value = projected.split((self.heads, self.key_heads, self.key_heads), dim=1)
            return tokens.with_values(query), tokens.with_values(key), value
        query = self.query(tokens.values).unflatten(-1, (self.heads, self.head_dim))
        key, value = self.memory(memory.values).unflatten(-1, (2, self.key_heads, self.head_dim)).unbind(1)
        return tokens.with_values(query), memory.with_values(key), value

    @staticmethod
    def from_torch(theirs: nn.MultiheadAttention, attention: Attention | None = None) -> MultiHeadAttention:
        """A self-attention layer with the weights of torch's own.

        Raises:
            ValueError: it has another key or value width, or rows that it adds to keys, which ours hasn't.
        """
        if theirs.in_proj_weight is None or theirs.bias_k is not None or theirs.add_zero_attn:
            raise ValueError("nn.MultiheadAttention with kdim, vdim, add_bias_kv or add_zero_attn can't be taken over")
        ours = MultiHeadAttention(
            theirs.embed_dim, theirs.num_heads, attention, bias=theirs.in_proj_bias is not None
        ).to(theirs.in_proj_weight)
        state = {"projection.weight": theirs.in_proj_weight, "output.weight": theirs.out_proj.weight}
        if theirs.in_proj_bias is not None:
            state |= {"projection.bias": theirs.in_proj_bias, "output.bias": theirs.out_proj.bias}
        missing, unexpected = ours.load_state_dict(state, strict=False)
        assert not unexpected
        assert all(name.startswith("attention.") for name in missing)
        return ours
