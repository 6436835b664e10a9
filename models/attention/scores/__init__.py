"""Scores: how well a query and a key match. Importing the package registers all of them."""

from saccade.models.attention.scores.additive import Additive
from saccade.models.attention.scores.concat import Concat
from saccade.models.attention.scores.cosine import Cosine
from saccade.models.attention.scores.dot import Dot
from saccade.models.attention.scores.general import General
from saccade.models.attention.scores.location_aware import LocationAware
from saccade.models.attention.scores.scaled_dot import ScaledDot
from saccade.models.attention.scores.score import Score

__all__ = ["Additive", "Concat", "Cosine", "Dot", "General", "LocationAware", "ScaledDot", "Score"]
