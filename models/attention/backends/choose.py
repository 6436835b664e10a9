"""Which backend computes a layer: the one that was asked for, or the fastest that can."""

from __future__ import annotations

import logging
from functools import cache

from saccade.models.attention.backends.backend import Backend
from saccade.models.attention.backends.flex import Flex
from saccade.models.attention.backends.grouped import Grouped
from saccade.models.attention.backends.reference import Reference
from saccade.models.attention.backends.varlen import Varlen
from saccade.models.attention.formula import Formula
from saccade.models.jagged import Jagged

log = logging.getLogger(__name__)

BACKENDS: dict[str, Backend] = {backend.name: backend for backend in (Varlen(), Flex(), Grouped(), Reference())}
"""By name, the faster ones first."""

AUTO = "auto"
"""The name that leaves the choice to ``choose``."""


def check_name(name: str) -> str:
    """``name``, if it is ``auto`` or a backend's; ValueError lists those there are."""
    if name != AUTO and name not in BACKENDS:
        raise ValueError(f"no attention backend {name!r}: choose one of {AUTO}, {', '.join(BACKENDS)}")
    return name


def choose(name: str, formula: Formula, query: Jagged, key: Jagged) -> Backend:
    """The backend called ``name``, or with ``auto`` the first that can compute this formula for these tokens.

    Raises:
        ValueError: the backend can't; the message says why, and which can.
    """
    if name != AUTO:
        reason = BACKENDS[name].refuses(formula, query, key)
        if reason:
            able = ", ".join(b.name for b in BACKENDS.values() if b.refuses(formula, query, key) is None)
            raise ValueError(f"attention backend {name} can't compute {formula}: it {reason}; choose one of {able}")
        chosen = BACKENDS[name]
    else:
        chosen = next(b for b in BACKENDS.values() if b.refuses(formula, query, key) is None)
    _tell(chosen.name, str(formula), query.values.device.type, str(query.values.dtype).removeprefix("torch."))
    return chosen


@cache
def _tell(backend: str, formula: str, device: str, dtype: str) -> None:
    log.info("attention by backend %s: %s on %s in %s", backend, formula, device, dtype)


def available(device: str) -> dict[str, str]:
    """Each backend's name -> ``ok``, or why it can't run on ``device``."""
    needs = dict.fromkeys(("varlen", "flex"), "needs CUDA") if device != "cuda" else {}
    return {name: needs.get(name, "ok") for name in BACKENDS}
