"""From a list of masks to one."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import and_

from saccade.models.attention.masks.mask import Mask


def combine(masks: Sequence[Mask]) -> Mask | None:
    """What all of the masks allow (``first & second & …``); None, which allows every pair, for no masks."""
    return reduce(and_, masks) if masks else None
