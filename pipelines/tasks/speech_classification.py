"""Giving a recording one of several labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from saccade.models.jagged import Jagged, Layout
from saccade.models.speech.log_mel import LogMel
from saccade.models.table import Table
from saccade.pipelines.batch import Batch
from saccade.pipelines.errors import UserError
from saccade.pipelines.examples import Examples, Values
from saccade.pipelines.parquet.schema import Column
from saccade.pipelines.parquet.source import Source
from saccade.pipelines.parquet.statistics import first_outside
from saccade.pipelines.task import Split
from saccade.pipelines.tasks.classification import Classification

SAMPLING_RATE = "sampling_rate"
"""The integer column in which files may state the samples a second of each recording."""


class SpeechClassification(Classification):
    """Classify recordings by their sound. It has no table: all that is learned is the network.

    Args:
        audio: the column with a list of samples in -1 .. 1.
        label: the integer column with the class, 0 .. C - 1.
        labels: the classes' names.
        features: the network's features, which say how samples make frames.
        max_length: only this many of a recording's first frames are used.
        build: makes the network: samples (Jagged [T]) -> [B, C] logits.
        label_smoothing: of the loss.
    """

    tables: Sequence[Table] = ()

    def __init__(
        self,
        *,
        audio: str,
        label: str,
        labels: Sequence[str],
        features: LogMel,
        max_length: int,
        build: Callable[[], nn.Module],
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(label=label, labels=labels, label_smoothing=label_smoothing)
        self.audio, self.features, self.build = audio, features, build
        self.samples = features.samples(max_length)
        self.columns: Sequence[Column] = [Column(audio, "floats"), Column(label, "integer")]

    def network(self) -> nn.Module:
        """A newly built network."""
        return self.build()

    def encode(self, examples: Examples, split: Split) -> Examples:
        """Recordings cut to the frames that are used; a row costs as many tokens as it has frames."""
        audio = examples.columns[self.audio]
        assert isinstance(audio, Jagged)
        lengths = audio.layout.lengths.clamp(max=self.samples)
        if self.samples < audio.layout.max_length:
            audio = audio.slice(audio.layout.host_offsets[:-1], lengths)
        columns: dict[str, Values] = {"audio": audio}
        if split != "predict":
            columns["label"] = examples.columns[self.label]
        return Examples(examples.rows, columns, self.features.frames(lengths))

    def collate(self, examples: Examples, split: Split, generator: torch.Generator) -> Batch:
        """The samples and the labels."""
        audio = examples.columns["audio"]
        assert isinstance(audio, Jagged)
        inputs: dict[str, Tensor | Jagged | Layout] = {"audio": audio}
        if split != "predict":
            inputs["label"] = examples.tensor("label")
        return Batch({}, inputs, len(examples), int(examples.lengths.sum()), examples.rows)

    def forward(self, network: Callable[..., Tensor], embeddings: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """[B, C] logits."""
        return network(batch.inputs["audio"])


def check_sampling_rate(path: str, split: str, rate: int, column: str = SAMPLING_RATE) -> None:
    """Check the samples a second that the files themselves state, where they have such a column.

    Args:
        path: the data, as for ``Source.open``.
        split: of it.
        rate: in Hz, what the job says.
        column: its name.

    Raises:
        UserError: a row has another rate.
    """
    anything = Source.open(path, split, ())
    if any(column not in footer.metadata.schema.to_arrow_schema().names for footer in anything.footers):
        return
    source = Source.open(path, split, [Column(column, "integer")])
    row = first_outside(source, column, rate, rate)
    if row is not None:
        value = int(source.read(row, row + 1).columns[column])  # type: ignore[arg-type]
        raise UserError(
            f"{source.where(row)}: the recording has {value} samples a second, but data.sampling_rate={rate}: "
            f"set data.sampling_rate={value} or resample"
        )
