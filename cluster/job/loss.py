"""The section ``loss``: what training makes small."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag

from saccade.cluster.job.section import Section

Drawn = Literal["uniform", "popularity"]


class SampledSoftmax(Section):
    """Softmax over the target and negatives, which a micro-batch shares."""

    name: Literal["sampled_softmax"] = "sampled_softmax"
    """The loss."""

    negatives: int = Field(default=256, ge=1)
    """Items drawn for a micro-batch (none where sampling is in_batch)."""

    sampling: Literal["uniform", "popularity", "in_batch", "mixed"] = "uniform"
    """Which items are negatives: drawn uniformly, or by how often training meets them; the micro-batch's other targets;
    or those and uniform ones."""

    exponent: float = Field(default=1.0, ge=0)
    """With sampling popularity an item is drawn in proportion to its count to the power of this."""

    log_q: bool | None = None
    """Whether a negative's score is lowered by the logarithm of how often it is to be expected, which undoes the
    sampling; null: for all but uniform, where that is one number for all."""

    temperature: float = Field(default=1.0, gt=0)
    """Scores are divided by it."""

    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    """Share of the target's probability that is spread over it and its negatives."""


class BinaryCrossEntropy(Section):
    """Binary cross-entropy of the target and of negatives drawn for each position."""

    name: Literal["bce"]
    """The loss."""

    negatives: int = Field(default=1, ge=1)
    """Items drawn for a position."""

    sampling: Drawn = "uniform"
    """How they are drawn: uniformly, or by how often training meets them."""

    exponent: float = Field(default=1.0, ge=0)
    """With sampling popularity an item is drawn in proportion to its count to the power of this."""


class GeneralizedBinaryCrossEntropy(Section):
    """gBCE: binary cross-entropy corrected for the overconfidence that sampling brings."""

    name: Literal["gbce"]
    """The loss."""

    negatives: int = Field(default=256, ge=1)
    """Items drawn for a micro-batch."""

    calibration: float = Field(default=0.75, ge=0, le=1)
    """The paper's t: 0 is plain bce, 1 is fully calibrated."""


class FullSoftmax(Section):
    """Softmax over all items, computed by the workers that hold them; the table isn't gathered."""

    name: Literal["full_softmax"]
    """The loss."""

    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    """Share of the target's probability that is spread over all items."""

    temperature: float = Field(default=1.0, gt=0)
    """Scores are divided by it."""


class Bpr(Section):
    """BPR: the target's score is to exceed that of each of the negatives drawn for its position."""

    name: Literal["bpr"]
    """The loss."""

    negatives: int = Field(default=1, ge=1)
    """Items drawn for a position."""

    sampling: Drawn = "uniform"
    """How they are drawn: uniformly, or by how often training meets them."""

    exponent: float = Field(default=1.0, ge=0)
    """With sampling popularity an item is drawn in proportion to its count to the power of this."""


class InfoNce(Section):
    """InfoNCE: softmax over the target and all other targets of its micro-batch."""

    name: Literal["info_nce"]
    """The loss."""

    temperature: float = Field(default=1.0, gt=0)
    """Scores are divided by it."""

    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    """Share of the target's probability that is spread over it and its negatives."""


class CrossEntropy(Section):
    """Cross-entropy over the labels."""

    name: Literal["cross_entropy"] = "cross_entropy"
    """The loss."""

    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    """Share of the target's probability that is spread over all labels."""


def _name(value: object) -> str | None:
    """The union's tag; a section without a name is of the default kind."""
    if isinstance(value, dict):
        return value.get("name", "sampled_softmax") if isinstance(value.get("name", ""), str) else None
    return getattr(value, "name", None)


NextItemLoss = Annotated[
    Annotated[SampledSoftmax, Tag("sampled_softmax")]
    | Annotated[BinaryCrossEntropy, Tag("bce")]
    | Annotated[GeneralizedBinaryCrossEntropy, Tag("gbce")]
    | Annotated[FullSoftmax, Tag("full_softmax")]
    | Annotated[Bpr, Tag("bpr")]
    | Annotated[InfoNce, Tag("info_nce")],
    Discriminator(_name),
]
"""The losses of next_item, told apart by their ``name``."""
