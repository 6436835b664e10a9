"""An attention layer by the names of its parts, as a job file gives them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from saccade.models.attention.attention import Attention
from saccade.models.attention.backends.choose import AUTO
from saccade.models.attention.masks import combine
from saccade.models.attention.masks.mask import Mask
from saccade.models.attention.multihead import MultiHeadAttention
from saccade.models.attention.positions.position import Bias, Rotation, TokenPosition
from saccade.models.registry import Choice, RegistryError, entry

SCALED_DOT, SOFTMAX = Choice.of("scaled_dot"), Choice.of("softmax")

TRANSFORMER = Choice.of("transformer")
"""The block that models have unless they are told another."""


@dataclass(frozen=True)
class AttentionChoice:
    """The parts of a model's attention layers.

    Attributes:
        score: of the registered kind ``score``.
        normalizer: of the kind ``normalizer``.
        masks: of the kind ``mask``, all of which must allow a pair, besides what the model itself hides.
        positions: of the kind ``position``: those added to tokens act before the first layer, the others in every one.
        key_heads: heads of keys and values, a divisor of the heads; None for as many.
        backend: what computes attention, or ``auto``.
    """

    score: Choice = SCALED_DOT
    normalizer: Choice = SOFTMAX
    masks: Sequence[Choice] = ()
    positions: Sequence[Choice] = ()
    key_heads: int | None = None
    backend: str = AUTO

    def layer(
        self, dim: int, heads: int, max_length: int, mask: Mask | None = None, memory_dim: int | None = None
    ) -> MultiHeadAttention:
        """An attention layer.

        Args:
            dim: features of a token.
            heads: query heads.
            max_length: tokens of an example at most.
            mask: what the model itself hides (the future, say).
            memory_dim: features of the other sequence's tokens, for cross-attention; None for self-attention.

        Raises:
            RegistryError: a name that isn't registered, or options that its class doesn't take.
            ValueError: an option's value is wrong.
        """
        known = {"dim": dim // heads, "heads": heads, "key_heads": self.key_heads or heads, "max_length": max_length}
        masks = [mask] if mask is not None else []
        attention = Attention(
            self.score.build("score", **known),
            self.normalizer.build("normalizer", **known),
            combine([*masks, *(choice.build("mask") for choice in self.masks)]),
            [choice.build("position", **known) for choice in self.positions if _acts_inside(choice)],
            self.backend,
        )
        return MultiHeadAttention(dim, heads, attention, key_heads=self.key_heads, memory_dim=memory_dim)

    def token_positions(self, dim: int, max_length: int) -> nn.ModuleList:
        """The positions that are added to tokens of ``dim`` features, for examples of at most ``max_length``."""
        outside = [choice for choice in self.positions if not _acts_inside(choice)]
        return nn.ModuleList(choice.build("position", dim=dim, max_length=max_length) for choice in outside)


PLAIN = AttentionChoice()
"""Scaled dot product and softmax, without positions."""

FROM_START = AttentionChoice(positions=(Choice.of("learned"),))
FROM_END = AttentionChoice(positions=(Choice.of("reversed_learned"),))
SINUSOIDAL = AttentionChoice(positions=(Choice.of("sinusoidal"),))
"""The same with positions added to the tokens."""


def _acts_inside(choice: Choice) -> bool:
    cls = entry("position", choice.name).cls
    if not issubclass(cls, Rotation | Bias | TokenPosition):
        raise RegistryError(f"position {choice.name}: {cls.__name__} is no TokenPosition, Rotation or Bias")
    return issubclass(cls, Rotation | Bias)
