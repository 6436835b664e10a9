"""The attention backends by name, and which of them a device can use."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from saccade.models.attention.grouped import grouped
from saccade.models.attention.reference import reference
from saccade.models.jagged import Layout


class Backend(Protocol):
    """Computes softmax attention inside each example; see ``reference`` for the contract."""

    def __call__(self, query: Tensor, key: Tensor, value: Tensor, layout: Layout, *, causal: bool) -> Tensor:
        """[T, H, D] each -> [T, H, D]."""


BACKENDS: dict[str, Backend] = {"grouped": grouped, "reference": reference}


def backend(name: str) -> Backend:
    """The backend called ``name``; ValueError lists those there are."""
    if name not in BACKENDS:
        raise ValueError(f"no attention backend {name!r}: choose one of {', '.join(BACKENDS)}")
    return BACKENDS[name]


def available(device: str) -> dict[str, str]:
    """Each backend's name -> ``ok``, or why it can't run on ``device``."""
    return (
        dict.fromkeys(BACKENDS, "ok") if device in ("cpu", "cuda") else dict.fromkeys(BACKENDS, f"untried on {device}")
    )
