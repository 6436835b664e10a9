"""The union of masks, as a job file writes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Any

from torch import Tensor

from saccade.models.attention.coordinates import Coordinates
from saccade.models.attention.masks.mask import Mask
from saccade.models.registry import Choice, register


@register("mask", "any")
@dataclass(frozen=True, init=False)
class AnyOf(Mask):
    """What at least one of several masks allows: ``first | second | …``.

        masks:
          - causal
          - {name: any, of: [{name: window, before: 3}, first]}

    Attributes:
        of: the masks.
    """

    of: tuple[Mask, ...]

    def __init__(self, of: Sequence[str | Mapping[str, Any] | Choice | Mask] = ()) -> None:
        """Build the masks.

        Args:
            of: each a mask's name, a mapping with its ``name`` and its options, or a mask; at least one.

        Raises:
            ValueError: there is none, or one of them can't be built.
        """
        if isinstance(of, str | Mapping) or not of:
            raise ValueError(f"mask any: of={of!r} must be a list of at least one mask: [{{name: window}}, first]")
        object.__setattr__(self, "of", tuple(_built(one) for one in of))

    def allows(self, query: Coordinates, key: Coordinates) -> Tensor:
        """See Mask."""
        return reduce(or_, self.of).allows(query, key)


def _built(given: str | Mapping[str, Any] | Choice | Mask) -> Mask:
    """The mask that one entry of the list stands for."""
    if isinstance(given, Mask):
        return given
    if isinstance(given, str):
        given = Choice.of(given)
    elif isinstance(given, Mapping):
        options = dict(given)
        if not isinstance(name := options.pop("name", None), str):
            raise ValueError(f"mask any: {dict(given)!r} in `of` has no name: write {{name: window, before: 3}}")
        given = Choice(name, options)
    elif not isinstance(given, Choice):
        raise ValueError(f"mask any: {given!r} in `of` is no mask: write its name, or {{name: window, before: 3}}")
    built: Mask = given.build("mask")
    return built
