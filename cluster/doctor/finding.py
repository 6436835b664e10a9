"""One thing that is wrong, or may be, and how to mend it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

Facts: TypeAlias = Mapping[str, str]
"""What there is, by name, in words."""


@dataclass(frozen=True)
class Finding:
    """A result of a check.

    Attributes:
        level: ``problem``: something won't work; ``warning``: something may not, or is slow.
        what: what is wrong, in one line.
        mend: what to do about it, in one line, a command where there is one.
    """

    level: Literal["warning", "problem"]
    what: str
    mend: str
