"""The sections of a click-prediction job: what its data are, its models, tables, loss and evaluation."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Literal

from pydantic import ConfigDict, Discriminator, Field, Tag, model_validator
from pydantic_core import PydanticCustomError

from saccade.cluster.job.attention import Attention, Part
from saccade.cluster.job.data import Data
from saccade.cluster.job.engine import Sharding
from saccade.cluster.job.evaluate import Evaluate
from saccade.cluster.job.model import LearnedModel, Network
from saccade.cluster.job.section import Section
from saccade.cluster.job.tables import Table, TableOptimizer

Name = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_-]*$")]
"""A feature's column, after which its table is named."""


class FeatureTable(Section):
    """What is special about one feature's table; what isn't set here is as in tables.features."""

    rows: Literal["auto"] | Annotated[int, Field(ge=1)] = "auto"
    """Number of ids, 0 .. rows - 1; auto: counted from the data."""

    sharding: Sharding | None = None
    """How it is split among workers."""

    standard_deviation: float | None = Field(default=None, gt=0)
    """Of the normal distribution that initialises it."""

    optimizer: TableOptimizer | None = None
    """How it learns."""


class CtrFeature(Section):
    """A feature of a row."""

    column: Name
    """Its column; data.transforms may make it."""

    type: Literal["id", "ids", "number"] = "id"
    """id: an integer >= 0 with a row of the feature's table; ids: a list of them, pooled; number: any number. A null is
    id 0, which stands for what is unknown, or the number 0, the mean where it is standardised."""

    pooling: Literal["sum", "mean", "attention"] = "mean"
    """How a list of ids becomes one vector (ids)."""

    table: FeatureTable = FeatureTable()
    """What is special about its table (id and ids)."""

    @model_validator(mode="after")
    def _keys_have_effect(self) -> CtrFeature:
        ignored = "pooling" if self.pooling != "mean" and self.type != "ids" else ""
        ignored = "table" if self.table != FeatureTable() and self.type == "number" else ignored
        if ignored:
            message = "data.features: {key} of {column} has no effect: its type is {type}; leave it out"
            given = {"key": ignored, "column": self.column, "type": self.type}
            raise PydanticCustomError("job", message, given)
        return self


class CtrEvent(Section):
    """A feature of a history's events."""

    column: Name
    """A list of ids, one an event, the oldest first."""

    target: str | None = None
    """The feature (of type id) that says the same of the row's own target; they share a table. null: only events have
    this one, and it has a table of its own."""

    table: FeatureTable = FeatureTable()
    """What is special about a table of its own."""


class CtrSearch(Section):
    """Of a long history only the events with the target's category are kept."""

    column: Name
    """The events' categories: a list of integers, one an event."""

    target: Name
    """The target's category: an integer."""


class CtrHistory(Section):
    """What the user did before."""

    events: tuple[CtrEvent, ...] = Field(min_length=1)
    """Features of an event, whose vectors are summed; the first with a target says which item it was."""

    search: CtrSearch | None = None
    """The first stage of two for long histories (hard search of SIM): keep the events with the target's category."""


class CtrData(Data):
    """Rows that were shown to somebody, and whether they clicked."""

    max_length: int = Field(default=50, ge=1)
    """Only this many of a history's latest events are used, of those that a search leaves."""

    labels: tuple[Name, ...] = Field(default=("label",), min_length=1)
    """Columns of the labels: integers 0 or 1. Several are learned together."""

    user: str | None = None
    """Column by which GAUC groups rows: integers. null: no GAUC."""

    features: tuple[CtrFeature, ...] = Field(min_length=1)
    """The features of a row; only these columns are read."""

    history: CtrHistory | None = None
    """What the user did before, if the rows have it."""

    @model_validator(mode="after")
    def _columns_fit(self) -> CtrData:
        events = self.history.events if self.history else ()
        names = [f.column for f in self.features] + [e.column for e in events]
        twice = [name for name, count in Counter(names).items() if count > 1]
        label = [name for name in names if name in self.labels]
        ids = [f.column for f in self.features if f.type == "id"]
        wrong = [e.target for e in events if e.target is not None and e.target not in ids]
        if twice or len(set(self.labels)) < len(self.labels):
            found = twice[0] if twice else self.labels[0]
            raise _error("data: column {column} is there twice: leave one out", found)
        if label:
            raise _error("data: column {column} is a label, and can't be a feature too", label[0])
        if not any(f.type != "number" for f in self.features):
            raise _error("data.features: {column} is a number: at least one feature must be an id or ids", names[0])
        if wrong:
            message = "data.history: target={column} is no feature of type id: add it to data.features"
            raise _error(message, wrong[0])
        if events and not any(e.target is not None for e in events):
            message = (
                "data.history: no event has a target: set it to the feature that says what {column} says of events"
            )
            raise _error(message, events[0].column)
        own = [e.column for e in events if e.target is not None and e.table != FeatureTable()]
        if own:
            raise _error("data.history: table of {column} has no effect: it shares its target's; set it there", own[0])
        return self


def _error(message: str, column: str) -> PydanticCustomError:
    return PydanticCustomError("job", message, {"column": column})


class CtrModel(LearnedModel):
    """The keys of every click model."""

    dim: int = Field(default=16, ge=1)
    """Width of every table's rows."""

    layers: tuple[Annotated[int, Field(ge=1)], ...] = (64, 32)
    """Widths of the layers between the features and the logits."""

    activation: Literal["dice", "prelu", "relu"] = "relu"
    """Of these layers."""

    dropout: float = Field(default=0.2, ge=0, lt=1)
    """Fraction of activations that are zeroed in training."""

    experts: int | None = Field(default=None, ge=1)
    """Several labels by so many shared experts, mixed for each label (MMoE), each made of model.layers; null: one
    network with an output a label."""


NAMED = ConfigDict(json_schema_extra={"required": ["name"]})
"""Of models that must be named in a job: one without a name is the default one, also to an editor."""


class MeanPoolingModel(CtrModel):
    """The mean of the history's events: the baseline that attention has to beat."""

    model_config = NAMED
    name: Literal["mean_pooling"] = "mean_pooling"
    """The architecture."""


class DinModel(CtrModel):
    """DIN: events count as a small network of event and target says."""

    name: Literal["din"] = "din"
    """The architecture."""

    activation: Literal["dice", "prelu", "relu"] = "dice"
    """Of these layers, and of the activation unit's."""

    unit: tuple[Annotated[int, Field(ge=1)], ...] = (36,)
    """Widths of the activation unit's layers."""

    normalizer: Literal["none", "softmax"] = "none"
    """What becomes of the unit's outputs over a history; the paper has none."""


class TargetAttentionAttention(Attention):
    """Attention of the target over the history."""

    positions: tuple[Part, ...] = (Part(name="reversed_learned"),)
    """How a token's place enters: those that are added to tokens before the first block, the others inside each."""


class TargetAttentionModel(CtrModel):
    """Multi-head attention with the target as its query."""

    model_config = NAMED
    name: Literal["target_attention"] = "target_attention"
    """The architecture."""

    heads: int = Field(default=2, ge=1)
    """Attention heads; dim must be a multiple of it."""

    attention: TargetAttentionAttention = TargetAttentionAttention()
    """What the attention layer is made of."""

    @model_validator(mode="after")
    def _heads_share_dim(self) -> TargetAttentionModel:
        if self.dim % self.heads:
            message = "model.dim={dim} can't be split into model.heads={heads}: choose a multiple of {heads}"
            raise PydanticCustomError("job", message, {"dim": self.dim, "heads": self.heads})
        return self


class BstAttention(Attention):
    """Attention over the history and the target."""

    positions: tuple[Part, ...] = (Part(name="reversed_learned"),)
    """How a token's place enters: those that are added to tokens before the first block, the others inside each."""


class BstModel(CtrModel, Network):
    """BST: a Transformer over the history and the target."""

    model_config = NAMED
    name: Literal["bst"] = "bst"
    """The architecture."""

    blocks: int = Field(default=1, ge=1)
    """Attention blocks, one after the other."""

    hidden: int = Field(default=64, ge=1)
    """Width of the feed-forward layer inside a block."""

    attention: BstAttention = BstAttention()
    """What the blocks' attention layers are made of."""


class DienModel(CtrModel):
    """DIEN: interests that evolve towards the target, by two recurrent layers."""

    model_config = NAMED
    name: Literal["dien"] = "dien"
    """The architecture."""

    auxiliary: float = Field(default=0.5, ge=0)
    """What the auxiliary loss counts for: whether an interest tells the next event from a drawn one."""


class DlrmModel(CtrModel):
    """DLRM: dot products of all pairs of features; a history enters as its mean."""

    model_config = NAMED
    name: Literal["dlrm"] = "dlrm"
    """The architecture."""


class Dcnv2Model(CtrModel):
    """DCNv2: a cross network before the layers; a history enters as its mean."""

    model_config = NAMED
    name: Literal["dcnv2"] = "dcnv2"
    """The architecture."""

    crosses: int = Field(default=3, ge=1)
    """Cross layers."""

    rank: int | None = Field(default=None, ge=1)
    """Of the cross layers' matrices; null: full."""


def _name(value: object) -> str | None:
    """The union's tag; a section without a name is of the default kind."""
    if isinstance(value, dict):
        return value.get("name", "din") if isinstance(value.get("name", ""), str) else None
    return getattr(value, "name", None)


CtrModels = Annotated[
    Annotated[DinModel, Tag("din")]
    | Annotated[BstModel, Tag("bst")]
    | Annotated[DienModel, Tag("dien")]
    | Annotated[TargetAttentionModel, Tag("target_attention")]
    | Annotated[MeanPoolingModel, Tag("mean_pooling")]
    | Annotated[DlrmModel, Tag("dlrm")]
    | Annotated[Dcnv2Model, Tag("dcnv2")],
    Discriminator(_name),
]
"""The models of ctr, told apart by their ``name``."""

NEED_HISTORY = ("din", "bst", "dien", "target_attention", "mean_pooling")
"""Models that are about a history; the others take rows with or without one."""


class CtrTables(Section):
    """The tables of ctr."""

    features: Table = Table()
    """Every feature's table; data.features.N.table says what is special about one."""

    @model_validator(mode="after")
    def _rows_are_a_features(self) -> CtrTables:
        if self.features.rows != "auto":
            message = "tables.features.rows={rows}: every table has rows of its own; set table.rows of a feature"
            raise PydanticCustomError("job", message, {"rows": self.features.rows})
        return self


class LogLoss(Section):
    """Binary cross-entropy of every label."""

    name: Literal["log_loss"] = "log_loss"
    """The loss."""


class CtrEvaluate(Evaluate):
    """How well rows with the label are told from those without, and how right the probabilities are."""

    select: str = Field(default="valid/auc", pattern=r"^valid/.")
    """The metric whose highest value marks the best checkpoint."""

    resamples: int = Field(default=0, ge=0)
    """Of the bootstrap, over users where data.user is set, that gives the test's metrics 95 % intervals; 0: none."""
