"""A run that is looked into: its model, and the rows of a split as the model takes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from saccade.cluster.job import Job
from saccade.cluster.training.facts import check_split
from saccade.cluster.training.sources import has_split, open_source
from saccade.cluster.training.tasks import make_task
from saccade.cluster.training.transforms import load_transforms
from saccade.pipelines.batch import Batch
from saccade.pipelines.checkpoint.reader import CheckpointReader
from saccade.pipelines.engines.frozen import FrozenModel
from saccade.pipelines.errors import UserError
from saccade.pipelines.parquet.source import Source
from saccade.pipelines.seeds import generator
from saccade.pipelines.task import Split, Task

ROWS = 3
"""How many rows are looked into where nothing else is asked for."""

WINDOW = 64
"""Rows that are read at a time in search of some to show."""


@dataclass(frozen=True)
class Subject:
    """A run's model and a split of its data."""

    job: Job
    task: Task
    model: FrozenModel
    source: Source
    split: Split

    @property
    def step(self) -> int:
        """Of the checkpoint."""
        return self.model.checkpoint.manifest.step

    def batch(self, row: int) -> Batch:
        """One row as the model takes it; none, if the split has no use for it."""
        encoded = self.task.encode(self.source.read(row, row + 1), self.split)
        return self.task.collate(encoded, self.split, generator(self.job.run.seed, "explain", row))


def open_subject(
    job: Job, facts: Mapping[str, Any], artifacts: Path, checkpoint: Path, split: Split, checked: bool = False
) -> Subject:
    """A run's model of a checkpoint, and a split that is compared with the run's facts unless that was done.

    Raises:
        UserError: there is no such split, or it doesn't fit the run.
    """
    if not has_split(job, split):
        raise UserError(f"{job.data.path} has no {split} split: choose another --split or data.path")
    transforms = load_transforms(job, artifacts)
    if not checked:
        check_split(job, split, dict(facts), transforms)
    task = make_task(job, facts, artifacts)
    model = FrozenModel(task, CheckpointReader(checkpoint), job.run.seed)
    return Subject(job, task, model, open_source(job, split, task.columns, transforms), split)


def first_rows(subject: Subject, count: int, longest: int | None = None, far: int | None = None) -> Iterator[int]:
    """The first rows with at least two tokens, and at most ``longest``, among the first ``far``."""
    end = subject.source.rows if far is None else min(far, subject.source.rows)
    cursor = subject.source.cursor()
    for first in range(0, end, WINDOW):
        encoded = subject.task.encode(cursor.read(first, min(first + WINDOW, end)), subject.split)
        fits = encoded.lengths >= 2
        if longest is not None:
            fits &= encoded.lengths <= longest
        for row in encoded.rows[fits].tolist():
            if count == 0:
                return
            yield row
            count -= 1
