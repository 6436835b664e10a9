"""What is counted or fitted from the data before training, once, by the driver."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from saccade.cluster.job import Job, NextItemJob, SpeechClassificationJob, TextClassificationJob
from saccade.cluster.training.sources import has_split, open_source
from saccade.models.jagged import Jagged
from saccade.pipelines.errors import UserError
from saccade.pipelines.parquet.schema import Column
from saccade.pipelines.parquet.source import Source
from saccade.pipelines.parquet.statistics import check_ids, integer_range
from saccade.pipelines.task import Split
from saccade.pipelines.tasks.labels import check_labels, find_labels
from saccade.pipelines.tasks.speech_classification import check_sampling_rate
from saccade.pipelines.text.tokenizer import fit_tokenizer

TOKENIZER = "tokenizer.json"
"""The artifact that a text task's tokens depend on."""

SHORTEST = 4
"""Items of the shortest history to learn from: two are held out, and of the other two one predicts the other."""


def gather_facts(job: Job, artifacts: Path) -> dict[str, Any]:
    """Check the data as far as that is cheap, and count or fit what the task needs.

    Args:
        job: with resolved paths.
        artifacts: the run's folder for what is fitted.

    Returns:
        JSON values for ``make_task``.

    Raises:
        UserError: the data doesn't fit the job.
    """
    if isinstance(job, NextItemJob):
        return _next_item(job)
    if isinstance(job, TextClassificationJob):
        source = open_source(job, "train", [Column(job.data.text, "string"), Column(job.data.label, "integer")])
        facts = {"labels": list(find_labels(source, job.data.label))}
        fit_tokenizer(source, job.data.text, job.data.vocabulary, artifacts / TOKENIZER)
    elif isinstance(job, SpeechClassificationJob):
        source = open_source(job, "train", [Column(job.data.audio, "floats"), Column(job.data.label, "integer")])
        facts = {"labels": list(find_labels(source, job.data.label))}
    else:
        raise UserError(f"task {job.task} can't be trained")
    splits: tuple[Split, ...] = ("train", "valid", "test")
    for split in splits:
        if has_split(job, split):
            check_split(job, split, facts)
    return facts


def check_split(job: Job, split: Split, facts: dict[str, Any]) -> None:
    """Check that a split's rows fit what was found in the training rows.

    Raises:
        UserError: they don't; names the first such row.
    """
    if isinstance(job, NextItemJob):
        source = open_source(job, split, [Column(job.data.history, "integers")])
        check_ids(source, job.data.history, facts["items"])
    elif isinstance(job, TextClassificationJob):
        source = open_source(job, split, [Column(job.data.text, "string"), Column(job.data.label, "integer")])
        check_labels(source, job.data.label, tuple(facts["labels"]))
    elif isinstance(job, SpeechClassificationJob):
        source = open_source(job, split, [Column(job.data.audio, "floats"), Column(job.data.label, "integer")])
        check_labels(source, job.data.label, tuple(facts["labels"]))
        check_sampling_rate(job.data.path, split, job.data.sampling_rate)


def _next_item(job: NextItemJob) -> dict[str, Any]:
    source = open_source(job, "train", [Column(job.data.history, "integers")])
    rows = job.tables.items.rows
    if rows == "auto":
        check_ids(source, job.data.history, 1 << 62)  # no negative ids
        rows = integer_range(source, job.data.history)[1] + 1
    check_ids(source, job.data.history, rows)
    if not _has_history(source, job.data.history):
        raise UserError(
            f"{job.data.path}: no history in column {job.data.history!r} has {SHORTEST} items or more; leave-one-out "
            "holds the last two out, and training needs two besides: use longer histories"
        )
    return {"items": max(rows, 2)}


def _has_history(source: Source, column: str) -> bool:
    for group in source.row_groups:
        history = source.read(group.first_row, group.first_row + group.rows).columns[column]
        assert isinstance(history, Jagged)
        if bool(torch.any(history.layout.lengths >= SHORTEST)):
            return True
    return False
