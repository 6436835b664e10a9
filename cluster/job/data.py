"""The section ``data``: which rows and columns a task reads."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from saccade.cluster.job.section import Section
from saccade.cluster.job.transforms import Condition, Transform, check_clashes


class Data(Section):
    """The keys of every task's data."""

    path: str = Field(min_length=1)
    """A Parquet file, folder or glob, or the address of one (s3://…). A folder with train, valid and test folders in it
    has those splits."""

    window: int = Field(default=4096, ge=1)
    """Rows that are shuffled, sorted by length and cut into micro-batches together."""

    max_length: int = Field(ge=1)
    """Only so much of a row is used."""

    filter: tuple[Condition, ...] = ()
    """Conditions on columns of the files, all of which a row must fulfil to be read."""

    transforms: tuple[Transform, ...] = ()
    """What is made of the files' columns before the task reads them, one after the other."""

    @model_validator(mode="after")
    def _no_clashes(self) -> Data:
        check_clashes(self.transforms)
        return self


class ItemFeature(Section):
    """What is known of the items of a history besides their ids, in a column that runs beside it."""

    column: str = Field(min_length=1)
    """A list column with a value for each item of the history, such as the transform `join` makes."""

    kind: Literal["id", "ids", "number"] = "id"
    """What an item has: an id >= 0, a list of ids (the mean of their vectors counts), or a number; null is id 0, no id,
    or 0."""

    rows: Literal["auto"] | Annotated[int, Field(ge=1)] = "auto"
    """Number of ids, 0 .. rows - 1; auto: counted from the data."""

    dim: int | None = Field(default=None, ge=1)
    """Width of an id's vector where data.combine is concat; null: model.dim."""


class NextItemData(Data):
    """Histories of users, in time order."""

    max_length: int = Field(default=200, ge=1)
    """Only this many of a history's last items are used."""

    user: str = "user_id"
    """Column of the user's id: integers."""

    latest: float = Field(default=1.0, ge=0, le=1)
    """Share of the longer histories that training cuts to their latest items; the others are cut at a random place, so
    that older items are learned from too."""
    history: str = "history"
    """Column of the item ids in time order: a list of integers >= 0. Other ids become such by data.transforms."""

    valid_from: int | None = None
    """Instead of leave-one-out a split by time: training learns from what comes before this moment, validation asks for
    all items from it on. It is read in the unit of data.times."""

    test_from: int | None = None
    """Validation's items end at this moment, and the test asks for all items from it on; set both or neither."""

    times: str | None = None
    """Column of the items' moments, for a split by time and for parts that look at time: a list of integers, as many as
    the history has items, in a unit of your own; dates and times are read as microseconds."""

    features: tuple[ItemFeature, ...] = ()
    """What the model is told of items besides their ids."""

    combine: Literal["sum", "concat"] = "sum"
    """How features join an item's vector: added to it, or side by side with it and projected to model.dim."""

    @model_validator(mode="after")
    def _both_moments(self) -> NextItemData:
        first, second = self.valid_from, self.test_from
        if (first is None) != (second is None) or (first is not None and second is not None and first >= second):
            message = "data.valid_from={first} and data.test_from={second}: set both, the first before the second"
            raise PydanticCustomError("job", message, {"first": str(first), "second": str(second)})
        if first is not None and self.times is None:
            message = "data.valid_from={first} needs data.times: name the column of the items' moments"
            raise PydanticCustomError("job", message, {"first": str(first)})
        return self

    @model_validator(mode="after")
    def _features_can_be_combined(self) -> NextItemData:
        names = [feature.column for feature in self.features]
        if repeated := [name for name in names if names.count(name) > 1]:
            raise PydanticCustomError("job", "data.features has {column} twice", {"column": repeated[0]})
        if wide := [f.column for f in self.features if f.dim is not None and self.combine == "sum"]:
            message = "data.features: {column} can't have a dim of its own where data.combine is sum: choose concat"
            raise PydanticCustomError("job", message, {"column": wide[0]})
        return self


class TextClassificationData(Data):
    """Labelled texts."""

    max_length: int = Field(default=64, ge=1)
    """Only this many of a text's first tokens are used."""

    text: str = "text"
    """Column of the text: strings."""

    label: str = "label"
    """Column of the label: integers from 0."""

    vocabulary: int = Field(default=8000, ge=256)
    """Largest number of tokens of the tokenizer, which is trained on the training split."""


class SpeechClassificationData(Data):
    """Labelled recordings."""

    max_length: int = Field(default=500, ge=1)
    """Only this many of a recording's first frames are used (a frame every hop_ms)."""

    audio: str = "audio"
    """Column of the samples: a list of floats in -1 .. 1."""

    label: str = "label"
    """Column of the label: integers from 0."""

    sampling_rate: int = Field(default=8000, ge=1000)
    """Samples a second (Hz)."""

    mels: int = Field(default=40, ge=1)
    """Mel bands of a frame."""

    frame_ms: float = Field(default=25.0, gt=0)
    """Length of a frame's window in milliseconds."""

    hop_ms: float = Field(default=10.0, gt=0)
    """Time from one frame to the next in milliseconds."""
