"""What a batch's tokens are called in pictures: items, pieces of words, seconds of a recording."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from torch import Tensor

from saccade.cluster.job import Job, NextItemJob, SpeechClassificationJob, TextClassificationJob
from saccade.models.jagged import Jagged
from saccade.models.speech.log_mel import LogMel
from saccade.pipelines.batch import Batch
from saccade.pipelines.errors import UserError
from saccade.pipelines.task import Task
from saccade.pipelines.tasks.classification import Classification
from saccade.pipelines.tasks.speech_classification import SpeechClassification
from saccade.pipelines.tasks.text_classification import TextClassification


@dataclass(frozen=True)
class TokenNames:
    """The names of one row's tokens.

    Attributes:
        names: in the order of the tokens; empty where nothing is known but their numbers.
        unit: what a token is.
        newest: whether the last tokens are those to show of a long row; else the first.
        most: tokens that a picture shows where nothing else is asked for.
    """

    names: Sequence[str]
    unit: str
    newest: bool
    most: int


HIDDEN = "?"
"""The name of an item that the network doesn't see."""


def name_tokens(job: Job, task: Task, batch: Batch, items: Mapping[int, str]) -> TokenNames:
    """Name the tokens of a batch of one row.

    Args:
        job: says what a token is.
        task: made the batch.
        batch: one row.
        items: names of item ids; an id that isn't in it goes by its number.
    """
    if isinstance(job, NextItemJob):
        ids = batch.lookups["history"]
        index = batch.inputs.get("input_index")  # in training, the last item is no input
        ids = ids[index] if isinstance(index, Tensor) else ids
        names = [items.get(i, str(i)) for i in ids.tolist()]
        hidden = batch.inputs.get("hidden")
        if isinstance(hidden, Tensor):
            names = [HIDDEN if unseen else name for name, unseen in zip(names, hidden.tolist(), strict=True)]
        return TokenNames(names, "items", newest=True, most=24)
    if isinstance(job, TextClassificationJob) and isinstance(task, TextClassification):
        pieces = task.tokenizer.pieces(batch.lookups["tokens"])
        return TokenNames(pieces, "tokens", newest=False, most=24)
    if isinstance(job, SpeechClassificationJob) and isinstance(task, SpeechClassification):
        return TokenNames(_seconds(job, task.features, batch), "seconds", newest=False, most=200)
    return TokenNames((), "tokens", newest=False, most=24)


def _seconds(job: SpeechClassificationJob, features: LogMel, batch: Batch) -> list[str]:
    """When each token of the recording begins."""
    audio = batch.inputs["audio"]
    assert isinstance(audio, Jagged)
    stacked = int(getattr(job.model, "stacked", 1))
    tokens = -(-int(features.frames(audio.layout.lengths)[0]) // stacked)
    return [f"{token * stacked * features.hop / job.data.sampling_rate:.2f}" for token in range(tokens)]


def describe_row(task: Task, batch: Batch, output: Tensor, items: Mapping[int, str]) -> str:
    """What a picture's title says of a batch's one row: its label and the model's, or the item that was held out."""
    if isinstance(task, Classification):
        label, said = batch.inputs["label"], task.labels[int(output[0].argmax())]
        assert isinstance(label, Tensor)
        return f"label {task.labels[int(label[0])]}, predicted {said}"
    target = batch.inputs.get("target")
    if isinstance(target, Tensor):
        item = int(target[0])
        return f"next {items.get(item, item)}"
    return ""


def read_item_names(path: Path, wanted: Sequence[int] | None = None) -> dict[int, str]:
    """Item ids and names from a Parquet file with the columns ``id`` and ``name``.

    Raises:
        UserError: it can't be read, or hasn't these columns.
    """
    try:
        found = pq.read_schema(path)
        missing = [name for name in ("id", "name") if name not in found.names]
        if missing:
            raise UserError(
                f"--names {path}: no column {' and no column '.join(map(repr, missing))}; it has "
                f"{', '.join(found.names)}: give a file with the columns id and name"
            )
        table = pq.read_table(path, columns=["id", "name"])
        ids = table["id"].cast(pa.int64())
        if wanted is not None:
            kept = pc.is_in(ids, value_set=pa.array(list(wanted), pa.int64()))
            table, ids = table.filter(kept), ids.filter(kept)
        return dict(zip(ids.to_pylist(), map(str, table["name"].to_pylist()), strict=True))
    except OSError as error:
        raise UserError(f"--names {path}: can't be read ({error.strerror or error})") from None
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise UserError(f"--names {path}: {str(error).splitlines()[0]}") from None
