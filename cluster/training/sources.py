"""The Parquet sources behind a job's splits."""

from __future__ import annotations

from collections.abc import Sequence

from saccade.cluster.job import Job, NextItemJob
from saccade.pipelines.parquet.files import splits
from saccade.pipelines.parquet.schema import Column
from saccade.pipelines.parquet.source import Source
from saccade.pipelines.task import Split


def open_source(job: Job, split: Split, columns: Sequence[Column]) -> Source:
    """The rows that a split is made from.

    Leave-one-out takes every split from the same histories; other tasks have a folder a split.
    """
    return Source.open(job.data.path, "train" if isinstance(job, NextItemJob) else split, columns)


def has_split(job: Job, split: Split) -> bool:
    """Whether the job's data has rows for a split."""
    return isinstance(job, NextItemJob) or split == "train" or split in splits(job.data.path)
