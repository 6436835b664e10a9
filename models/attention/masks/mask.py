"""Which pairs of tokens may meet: the third part of an attention formula."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from saccade.models.attention.coordinates import Coordinates


class Mask:
    """Base of all masks: small frozen dataclasses, equal where they allow the same, so that layers share their work.

    ``a & b`` allows what both allow (a causal window), ``a | b`` what either does (a window and a few global tokens).
    Tokens of different examples never meet, whatever the mask.
    """

    def allows(self, query: Coordinates, key: Coordinates) -> Tensor:
        """Bool: whether each query may attend to each key, by broadcasting the two (no loops: backends compile it)."""
        raise NotImplementedError

    def __and__(self, other: Mask) -> Mask:
        return Both(self, other)

    def __or__(self, other: Mask) -> Mask:
        return Either(self, other)


@dataclass(frozen=True)
class Both(Mask):
    """What two masks both allow; written ``first & second``."""

    first: Mask
    second: Mask

    def allows(self, query: Coordinates, key: Coordinates) -> Tensor:
        """See Mask."""
        return self.first.allows(query, key) & self.second.allows(query, key)


@dataclass(frozen=True)
class Either(Mask):
    """What at least one of two masks allows; written ``first | second``."""

    first: Mask
    second: Mask

    def allows(self, query: Coordinates, key: Coordinates) -> Tensor:
        """See Mask."""
        return self.first.allows(query, key) | self.second.allows(query, key)
