"""What a group's queries may not see, as the CPU kernel takes it."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, eq=False)
class KernelMask:
    """What a group's queries may not see.

    Attributes:
        causal: each query sees itself and what is before it, and nothing else need be said.
        added: what is added to the scores, 0 or -inf, broadcastable to [N, H, Lq, Lk]; None for nothing.
        blind: whether some query sees nothing.
    """

    causal: bool
    added: Tensor | None
    blind: bool
