"""The section ``model``: the network between the tables and the loss."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from saccade.cluster.job.section import Section


class Network(Section):
    """The keys of every attention network."""

    name: str
    """The architecture."""

    dim: int = Field(default=64, ge=1)
    """Width of a token, and of a row of the table."""

    blocks: int = Field(default=2, ge=1)
    """Attention blocks, one after the other."""

    heads: int = Field(default=2, ge=1)
    """Attention heads; dim must be a multiple of it."""

    hidden: int = Field(default=256, ge=1)
    """Width of the feed-forward layer inside a block."""

    dropout: float = Field(default=0.2, ge=0, lt=1)
    """Fraction of activations that are zeroed in training."""

    @model_validator(mode="after")
    def _heads_share_dim(self) -> Network:
        if self.dim % self.heads:
            message = "model.dim={dim} can't be split into model.heads={heads}: choose a multiple of {heads}"
            raise PydanticCustomError("job", message, {"dim": self.dim, "heads": self.heads})
        return self


class SasRec(Network):
    """Self-attentive sequential recommendation: a causal encoder of histories."""

    name: Literal["sasrec"] = "sasrec"
    """The architecture."""

    positions: Literal["learned"] = "learned"
    """How an item's place in the history enters; learned positions count back from the newest item."""


class TextEncoder(Network):
    """A bidirectional encoder of tokens, pooled into one vector a text."""

    name: Literal["text_encoder"] = "text_encoder"
    """The architecture."""

    positions: Literal["learned"] = "learned"
    """How a token's place in the text enters."""
    reach: int = Field(default=2, ge=0)
    """Neighbours on each side that a convolution mixes into a token before the blocks."""
    token_dropout: float = Field(default=0.1, ge=0, lt=1)
    """Share of tokens that training hides whole."""


class SpeechEncoder(Network):
    """A bidirectional encoder of log-mel frames, pooled into one vector a recording."""

    name: Literal["speech_encoder"] = "speech_encoder"
    """The architecture."""

    positions: Literal["sinusoidal"] = "sinusoidal"
    """How a frame's place in the recording enters."""
    stacked: int = Field(default=2, ge=1)
    """Frames that make one token."""
    reach: int = Field(default=2, ge=0)
    """Neighbours on each side that a convolution mixes into a token before the blocks."""
    masked_bands: float = Field(default=0.2, ge=0, le=1)
    """At most this share of the mel bands is hidden in training (SpecAugment)."""
    masked_time: float = Field(default=0.2, ge=0, le=1)
    """At most this share of a recording's frames is hidden in training (SpecAugment)."""
