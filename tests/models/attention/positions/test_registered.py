"""Every position can be chosen by its name alone: what it must know is supplied, its options have defaults."""

import pytest

from saccade.models.attention.positions import (
    ALiBi,
    LearnedPositions,
    Position,
    RelativePosition,
    RelativeTime,
    ReversedLearnedPositions,
    RotaryPositions,
    SinusoidalPositions,
)
from saccade.models.registry import Choice

NAMES = {
    "alibi": ALiBi,
    "learned": LearnedPositions,
    "relative": RelativePosition,
    "relative_time": RelativeTime,
    "reversed_learned": ReversedLearnedPositions,
    "rotary": RotaryPositions,
    "sinusoidal": SinusoidalPositions,
}


@pytest.mark.parametrize("name", NAMES)
def test_is_built_by_name(name: str) -> None:
    built = Choice.of(name).build("position", dim=8, heads=2, key_heads=1, max_length=5)
    assert isinstance(built, Position)
    assert type(built) is NAMES[name]
