"""The section ``model``: the network between the tables and the loss."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator
from pydantic_core import PydanticCustomError

from saccade.cluster.job.attention import Attention, Part
from saccade.cluster.job.section import Section


class Model(Section):
    """What every model has."""

    name: str
    """The architecture."""


class LearnedModel(Model):
    """What every model has that learns vectors by gradients."""

    dim: int = Field(default=64, ge=1)
    """Width of a token, and of a row of the table."""


class Network(LearnedModel):
    """The keys of every attention network."""

    blocks: int = Field(default=2, ge=1)
    """Attention blocks, one after the other."""

    heads: int = Field(default=2, ge=1)
    """Attention heads; dim must be a multiple of it."""

    hidden: int = Field(default=256, ge=1)
    """Width of the feed-forward layer inside a block."""

    dropout: float = Field(default=0.2, ge=0, lt=1)
    """Fraction of activations that are zeroed in training."""

    block: Part = Part(name="transformer")
    """What each block is made of."""

    attention: Attention = Attention()
    """What the blocks' attention layers are made of."""

    @model_validator(mode="after")
    def _heads_share_dim(self) -> Network:
        if self.block.name in ("transformer", "ligr") and not isinstance(self, PluginModel) and self.dim % self.heads:
            message = "model.dim={dim} can't be split into model.heads={heads}: choose a multiple of {heads}"
            raise PydanticCustomError("job", message, {"dim": self.dim, "heads": self.heads})
        key_heads = self.attention.key_heads
        if key_heads is not None and self.heads % key_heads:
            message = "model.attention.key_heads={key} can't serve model.heads={heads}: choose a divisor of {heads}"
            raise PydanticCustomError("job", message, {"key": key_heads, "heads": self.heads})
        return self


class SasRecAttention(Attention):
    """Attention over a history."""

    positions: tuple[Part, ...] = (Part(name="reversed_learned"),)
    """How a token's place enters: those that are added to tokens before the first block, the others inside each."""


class SasRec(Network):
    """Self-attentive sequential recommendation: a causal encoder of histories."""

    name: Literal["sasrec"] = "sasrec"
    """The architecture."""

    attention: SasRecAttention = SasRecAttention()
    """What the blocks' attention layers are made of."""


class TextEncoderAttention(Attention):
    """Attention over a text."""

    positions: tuple[Part, ...] = (Part(name="learned"),)
    """How a token's place enters: those that are added to tokens before the first block, the others inside each."""


class TextEncoder(Network):
    """A bidirectional encoder of tokens, pooled into one vector a text."""

    name: Literal["text_encoder"] = "text_encoder"
    """The architecture."""

    reach: int = Field(default=2, ge=0)
    """Neighbours on each side that a convolution mixes into a token before the blocks."""
    token_dropout: float = Field(default=0.1, ge=0, lt=1)
    """Share of tokens that training hides whole."""

    attention: TextEncoderAttention = TextEncoderAttention()
    """What the blocks' attention layers are made of."""


class SpeechEncoderAttention(Attention):
    """Attention over a recording."""

    positions: tuple[Part, ...] = (Part(name="sinusoidal"),)
    """How a token's place enters: those that are added to tokens before the first block, the others inside each."""


class SpeechEncoder(Network):
    """A bidirectional encoder of log-mel frames, pooled into one vector a recording."""

    name: Literal["speech_encoder"] = "speech_encoder"
    """The architecture."""

    stacked: int = Field(default=2, ge=1)
    """Frames that make one token."""
    reach: int = Field(default=2, ge=0)
    """Neighbours on each side that a convolution mixes into a token before the blocks."""
    masked_bands: float = Field(default=0.2, ge=0, le=1)
    """At most this share of the mel bands is hidden in training (SpecAugment)."""
    masked_time: float = Field(default=0.2, ge=0, le=1)
    """At most this share of a recording's frames is hidden in training (SpecAugment)."""

    attention: SpeechEncoderAttention = SpeechEncoderAttention()
    """What the blocks' attention layers are made of."""


OWN = (
    "sasrec",
    "hstu",
    "bert4rec",
    "gru4rec",
    "two_towers",
    "popularity",
    "item_knn",
    "text_encoder",
    "speech_encoder",
)
"""The names of Saccade's own models."""

PLUGIN = "a model of a plug-in"
"""The tag of other people's models, as error messages show it."""


class PluginModel(Network):
    """A model of a plug-in. It gets those of the keys that its constructor names."""

    name: str = Field(min_length=1, json_schema_extra={"not": {"enum": list(OWN)}})
    """The name that the plug-in gave it."""

    options: dict[str, Any] = Field(default_factory=dict)
    """Its constructor's other arguments."""


def choosing(own: str) -> Callable[[Any], str | None]:
    """A union's tag by name: a task's own model (also without a name), or a plug-in's."""

    def tag(value: Any) -> str | None:
        if not isinstance(value, dict | Model):
            return None
        name = value.get("name", own) if isinstance(value, dict) else value.name
        if not isinstance(name, str):
            return None
        return name if name in OWN else PLUGIN

    return tag


TextModel = Annotated[
    Annotated[TextEncoder, Tag("text_encoder")] | Annotated[PluginModel, Tag(PLUGIN)],
    Discriminator(choosing("text_encoder")),
]
SpeechModel = Annotated[
    Annotated[SpeechEncoder, Tag("speech_encoder")] | Annotated[PluginModel, Tag(PLUGIN)],
    Discriminator(choosing("speech_encoder")),
]
