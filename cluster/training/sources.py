"""The Parquet sources behind a job's splits."""

from __future__ import annotations

from collections.abc import Sequence

from saccade.cluster.job import Job, NextItemJob
from saccade.cluster.training.transforms import conditions
from saccade.pipelines.parquet.files import splits
from saccade.pipelines.parquet.schema import Column
from saccade.pipelines.parquet.source import Source
from saccade.pipelines.task import Split
from saccade.pipelines.transforms.chain import Chain


def open_source(job: Job, split: Split, columns: Sequence[Column], transforms: Chain) -> Source:
    """The rows that a split is made from, as the job filters and transforms them.

    Leave-one-out takes every split from the same histories; other tasks have a folder a split.
    """
    folder = "train" if isinstance(job, NextItemJob) else split
    return Source.open(
        job.data.path, folder, columns, filter=conditions(job), prepare=transforms.making(c.name for c in columns)
    )


def has_split(job: Job, split: Split) -> bool:
    """Whether the job's data has rows for a split."""
    return isinstance(job, NextItemJob) or split == "train" or split in splits(job.data.path)
