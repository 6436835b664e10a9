"""Positions: how a token's place enters attention."""

from saccade.models.attention.positions.alibi import ALiBi
from saccade.models.attention.positions.bucketed import BucketedBias
from saccade.models.attention.positions.learned import LearnedPositions
from saccade.models.attention.positions.position import Bias, Position, Rotation, TokenPosition
from saccade.models.attention.positions.relative import RelativePosition
from saccade.models.attention.positions.relative_time import RelativeTime
from saccade.models.attention.positions.reversed_learned import ReversedLearnedPositions
from saccade.models.attention.positions.rotary import RotaryPositions
from saccade.models.attention.positions.sinusoidal import SinusoidalPositions

__all__ = [
    "ALiBi",
    "Bias",
    "BucketedBias",
    "LearnedPositions",
    "Position",
    "RelativePosition",
    "RelativeTime",
    "ReversedLearnedPositions",
    "RotaryPositions",
    "Rotation",
    "SinusoidalPositions",
    "TokenPosition",
]
