"""The models of next_item: attention networks, a recurrent one, and two that are counted from the data."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag

from saccade.cluster.job.attention import Part
from saccade.cluster.job.model import (
    PLUGIN,
    LearnedModel,
    Model,
    Network,
    PluginModel,
    SasRec,
    SasRecAttention,
    choosing,
)


class Hstu(Network):
    """Hierarchical sequential transduction units over histories: attention without a softmax, with relative biases."""

    name: Literal["hstu"]
    """The architecture."""

    block: Part = Part(name="hstu")
    """What each block is made of; `{name: hstu, time_buckets: 64}` looks at data.times too."""

    attention: SasRecAttention = SasRecAttention()
    """The positions that are added to items; the blocks make their own attention."""


class Bert4Rec(Network):
    """A bidirectional encoder that learns to find hidden items of a history again."""

    name: Literal["bert4rec"]
    """The architecture."""

    attention: SasRecAttention = SasRecAttention()
    """What the blocks' attention layers are made of."""

    masked: float = Field(default=0.2, gt=0, le=1)
    """Share of a history's items that training hides, each by its own draw and at least one."""

    only_last: float = Field(default=0.1, ge=0, le=1)
    """Share of the histories of which training hides the last item and no other, as prediction does."""


class Gru4Rec(LearnedModel):
    """A recurrent network over histories: the baseline without attention."""

    name: Literal["gru4rec"]
    """The architecture."""

    hidden: int = Field(default=128, ge=1)
    """Units of a layer."""

    layers: int = Field(default=1, ge=1)
    """Recurrent layers, one on top of the other."""

    dropout: float = Field(default=0.2, ge=0, lt=1)
    """Fraction of activations that are zeroed in training."""


class TwoTowers(LearnedModel):
    """A tower of histories and one of items, which meet in a cosine: for retrieval among very many items."""

    name: Literal["two_towers"]
    """The architecture."""

    windows: tuple[Annotated[int, Field(ge=1)], ...] = Field(default=(1, 10, 200), min_length=1)
    """The history's tower gets the means of so many of the latest items, side by side."""

    layers: tuple[Annotated[int, Field(ge=1)], ...] = (256,)
    """Widths of each tower's hidden layers; none: the towers are linear."""

    output: int = Field(default=64, ge=1)
    """Width of the vectors that are compared."""

    dropout: float = Field(default=0.1, ge=0, lt=1)
    """Fraction of hidden activations that are zeroed in training."""


class Counted(Model):
    """A model that is counted from the training rows and takes no gradient step."""


class Popularity(Counted):
    """How often an item was met in training, the same for every user: what every other model has to beat."""

    name: Literal["popularity"]
    """The architecture."""


class ItemKnn(Counted):
    """Items that were met together with a history's last ones: cosine of their co-occurrence over users."""

    name: Literal["item_knn"]
    """The architecture."""

    neighbours: int = Field(default=200, ge=1)
    """An item's most similar others, which alone are kept."""

    shrinkage: float = Field(default=10.0, ge=0)
    """Added to the cosine's denominator, so that items which few users met are less similar."""

    last: int = Field(default=10, ge=1)
    """A history's latest items that count."""


NextItemModel = Annotated[
    Annotated[SasRec, Tag("sasrec")]
    | Annotated[Hstu, Tag("hstu")]
    | Annotated[Bert4Rec, Tag("bert4rec")]
    | Annotated[Gru4Rec, Tag("gru4rec")]
    | Annotated[TwoTowers, Tag("two_towers")]
    | Annotated[Popularity, Tag("popularity")]
    | Annotated[ItemKnn, Tag("item_knn")]
    | Annotated[PluginModel, Tag(PLUGIN)],
    Discriminator(choosing("sasrec")),
]
