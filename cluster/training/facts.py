"""What is counted or fitted from the data before training, once, by the driver."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch

from saccade.cluster.job import CtrJob, Job, NextItemJob, SpeechClassificationJob, TextClassificationJob
from saccade.cluster.job.next_item_models import Counted
from saccade.cluster.training.beside import beside, check_beside, count_features
from saccade.cluster.training.counting import count
from saccade.cluster.training.ctr_facts import check_ctr_split, ctr_facts
from saccade.cluster.training.measures import holdout_of
from saccade.cluster.training.popularity import COUNTS, count_items, load_counts, save_counts
from saccade.cluster.training.sources import has_split, open_source
from saccade.cluster.training.transforms import fit_transforms
from saccade.models.jagged import Jagged
from saccade.pipelines.errors import UserError
from saccade.pipelines.parquet.schema import Column
from saccade.pipelines.parquet.source import Source
from saccade.pipelines.parquet.statistics import check_ids, integer_range
from saccade.pipelines.task import Split
from saccade.pipelines.tasks.holdout import Holdout, LeaveOneOut
from saccade.pipelines.tasks.labels import check_labels, find_labels
from saccade.pipelines.tasks.speech_classification import check_sampling_rate
from saccade.pipelines.text.tokenizer import fit_tokenizer
from saccade.pipelines.transforms.chain import Chain

TOKENIZER = "tokenizer.json"
"""The artifact that a text task's tokens depend on."""

SHORTEST = 4
"""Items of the shortest history to learn from: two are held out, and of the other two one predicts the other."""


def gather_facts(job: Job, artifacts: Path, before: Path | None = None) -> dict[str, Any]:
    """Check the data as far as that is cheap, and count or fit what the task needs.

    Args:
        job: with resolved paths.
        artifacts: the run's folder for what is fitted.
        before: the artifacts of a run or checkpoint that this one goes on from; what was fitted then is taken over.

    Returns:
        JSON values for ``make_task``.

    Raises:
        UserError: the data doesn't fit the job.
    """
    transforms = fit_transforms(job, artifacts, before)
    if isinstance(job, NextItemJob):
        return _next_item(job, transforms, artifacts, before)
    if isinstance(job, CtrJob):
        return ctr_facts(job, transforms)
    if isinstance(job, TextClassificationJob | SpeechClassificationJob):
        source = open_source(job, "train", _labelled(job), transforms)
        facts = {"labels": list(_labels(source, job.data.label, transforms))}
    else:
        raise UserError(f"task {job.task} can't be trained")
    if isinstance(job, TextClassificationJob):
        if before is not None and (before / TOKENIZER).exists():
            shutil.copyfile(before / TOKENIZER, artifacts / TOKENIZER)
        else:
            fit_tokenizer(source, job.data.text, job.data.vocabulary, artifacts / TOKENIZER)
    splits: tuple[Split, ...] = ("train", "valid", "test")
    for split in splits:
        if has_split(job, split):
            check_split(job, split, facts, transforms)
    return facts


def check_split(job: Job, split: Split, facts: dict[str, Any], transforms: Chain) -> None:
    """Check that a split's rows fit what was found in the training rows.

    Raises:
        UserError: they don't; names the first such row.
    """
    if isinstance(job, NextItemJob):
        source = open_source(job, split, [Column(job.data.history, "integers")], transforms)
        check_items(source, job.data.history, facts["items"], transforms)
        if len(columns := beside(job)) > 1:
            check_beside(job, open_source(job, split, columns, transforms), facts, transforms)
    elif isinstance(job, CtrJob):
        check_ctr_split(job, split, facts, transforms)
    elif isinstance(job, TextClassificationJob | SpeechClassificationJob):
        source = open_source(job, split, _labelled(job), transforms)
        check_labels(source, job.data.label, tuple(facts["labels"]))
    if isinstance(job, SpeechClassificationJob):
        check_sampling_rate(job.data.path, split, job.data.sampling_rate)


def check_items(source: Source, column: str, items: int, transforms: Chain) -> None:
    """Check that ids lie in a table of so many items, unless the transforms that make them leave no doubt.

    Raises:
        UserError: one doesn't; names the first row that holds it.
    """
    ids = transforms.ids(column)
    if ids is None or ids > items:
        check_ids(source, column, items)


def _labelled(job: TextClassificationJob | SpeechClassificationJob) -> list[Column]:
    label = Column(job.data.label, "integer")
    if isinstance(job, TextClassificationJob):
        return [Column(job.data.text, "string"), label]
    return [Column(job.data.audio, "floats"), label]


def _labels(source: Source, column: str, transforms: Chain) -> tuple[str, ...]:
    """The classes' names: the values that labels were looked up from, or what the data say."""
    looked_up = transforms.vocabulary(column)
    if looked_up is None or looked_up[1] == 1:  # else 0 is a class too
        return find_labels(source, column)
    names = tuple(map(str, looked_up[0].values.to_pylist()))
    if len(names) < 2:
        raise UserError(f"{source.files[0]}: every label in column {column!r} is {names[0]}: nothing to tell apart")
    return names


def _next_item(job: NextItemJob, transforms: Chain, artifacts: Path, before: Path | None) -> dict[str, Any]:
    holdout = holdout_of(job)
    source = open_source(job, "train", [Column(job.data.history, "integers"), *holdout.columns], transforms)
    given = job.tables.items.rows
    rows = transforms.ids(job.data.history) if given == "auto" else given
    if rows is None:
        check_ids(source, job.data.history, 1 << 62)  # no negative ids
        rows = integer_range(source, job.data.history)[1] + 1
    check_items(source, job.data.history, rows, transforms)
    if not _has_history(source, job.data.history, holdout):
        if not isinstance(holdout, LeaveOneOut):
            raise UserError(
                f"{job.data.path}: no history in column {job.data.history!r} has 2 items before data.valid_from="
                f"{job.data.valid_from} to learn from: choose a later moment (in the unit of {job.data.times!r})"
            )
        raise UserError(
            f"{job.data.path}: no history in column {job.data.history!r} has {SHORTEST} items or more; leave-one-out "
            "holds the last two out, and training needs two besides: use longer histories"
        )
    facts: dict[str, Any] = {"items": max(rows, 2)}
    if len(columns := beside(job)) > 1:
        aligned = open_source(job, "train", columns, transforms)
        facts |= count_features(job, aligned, transforms)
        check_beside(job, aligned, facts, transforms)
    if before is not None and (before / COUNTS).exists() and len(load_counts(before)) == facts["items"]:
        shutil.copyfile(before / COUNTS, artifacts / COUNTS)
    else:
        save_counts(count_items(source, job.data.history, facts["items"], holdout), artifacts)
    if isinstance(job.model, Counted):
        count(job, source, holdout, facts["items"], artifacts)
    return facts


def _has_history(source: Source, column: str, holdout: Holdout) -> bool:
    for group in source.row_groups:
        examples = source.read(group.first_row, group.first_row + group.rows)
        history = examples.columns[column]
        assert isinstance(history, Jagged)
        if bool(torch.any(holdout.cut(history, examples, "train").kept)):
            return True
    return False
