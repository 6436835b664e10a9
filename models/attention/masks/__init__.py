"""Masks: which pairs of tokens may meet."""

from saccade.models.attention.masks.any_of import AnyOf
from saccade.models.attention.masks.block import Block
from saccade.models.attention.masks.causal import Causal
from saccade.models.attention.masks.combine import combine
from saccade.models.attention.masks.first import First
from saccade.models.attention.masks.mask import Both, Either, Mask
from saccade.models.attention.masks.padding import Padding
from saccade.models.attention.masks.window import Window

__all__ = ["AnyOf", "Block", "Both", "Causal", "Either", "First", "Mask", "Padding", "Window", "combine"]
