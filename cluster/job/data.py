"""The section ``data``: which rows and columns a task reads."""

from __future__ import annotations

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
    all items from it on."""

    test_from: int | None = None
    """Validation's items end at this moment, and the test asks for all items from it on; set both or neither."""

    moments: str = "timestamps"
    """Column of each item's moment, for a split by time: a list of integers, rising in each row."""

    @model_validator(mode="after")
    def _both_moments(self) -> NextItemData:
        first, second = self.valid_from, self.test_from
        if (first is None) != (second is None) or (first is not None and second is not None and first >= second):
            message = "data.valid_from={first} and data.test_from={second}: set both, the first before the second"
            raise PydanticCustomError("job", message, {"first": str(first), "second": str(second)})
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
