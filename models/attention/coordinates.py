"""What a mask or a position knows of tokens: where and when each one stands, not what it holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

from torch import Tensor

from saccade.models.jagged import Layout


@dataclass(frozen=True, eq=False)
class Coordinates:
    """Where tokens stand; every attribute has the same number of dimensions, and they broadcast together.

    Attributes:
        position: int64, the place in the token's example, from 0.
        time: a moment in the user's own unit (seconds, say), or None where the batch has none.
        block: int64, the number of the token's block (a session, a document), or None.
        valid: bool, false for a token that nobody may attend to, or None where all are valid.
    """

    position: Tensor
    time: Tensor | None = None
    block: Tensor | None = None
    valid: Tensor | None = None

    def map(self, change: Callable[[Tensor], Tensor]) -> Coordinates:
        """The same tokens with every tensor changed: indexed, or given another dimension."""
        changed = {f.name: change(x) for f in fields(self) if (x := getattr(self, f.name)) is not None}
        return Coordinates(**changed)

    def at(self, index: Tensor) -> Coordinates:
        """Those of chosen tokens, in the shape of ``index``."""
        return self.map(lambda x: x[index])

    def as_queries(self) -> Coordinates:
        """[..., L] -> [..., L, 1]: the rows of a score matrix."""
        return self.map(lambda x: x.unsqueeze(-1))

    def as_keys(self) -> Coordinates:
        """[..., L] -> [..., 1, L]: the columns of a score matrix."""
        return self.map(lambda x: x.unsqueeze(-2))

    def need(self, name: str, asker: str) -> Tensor:
        """The tensor called ``name``; ValueError tells ``asker``'s user to give it to the Layout."""
        found: Tensor | None = getattr(self, name)
        if found is None:
            raise ValueError(f"{asker} needs every token's {name}: make the batch's Layout with {name}=[T]")
        return found


def coordinates(layout: Layout) -> Coordinates:
    """Those of all tokens of a layout, [T] each; use ``layout.derive(coordinates)``."""
    return Coordinates(layout.position, layout.time, layout.block, layout.valid)
