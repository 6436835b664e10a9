"""The range of a softmax's temperature."""

from __future__ import annotations

SMALLEST = 1e-6
"""A masked score (-1e30) over this is still finite in float32."""


def checked(owner: str, option: str, value: float) -> float:
    """``value``, or ValueError where it isn't a temperature that ``owner`` can divide scores by."""
    if not SMALLEST <= value < float("inf"):
        raise ValueError(
            f"{owner}: {option}={value} is no temperature: set a finite one of at least {SMALLEST} "
            "(the normalizer hard is the limit at zero)"
        )
    return value
