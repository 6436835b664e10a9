"""The task that a job names."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from saccade.cluster.job import Job, NextItemJob
from saccade.cluster.job.loss import BinaryCrossEntropy, GeneralizedBinaryCrossEntropy, SampledSoftmax
from saccade.models.losses.binary import bce, gbce
from saccade.models.losses.sampled_softmax import sampled_softmax
from saccade.models.recommendation.sasrec import SASRec
from saccade.pipelines.errors import UserError
from saccade.pipelines.task import Task
from saccade.pipelines.tasks.negatives import ScoredLoss
from saccade.pipelines.tasks.next_item import NextItem


def make_task(job: Job, facts: Mapping[str, Any], artifacts: Path) -> Task:
    """The job's task, from what ``gather_facts`` found and left in ``artifacts``."""
    if isinstance(job, NextItemJob):
        return _next_item(job, facts)
    raise UserError(f"task {job.task} can't be trained")


def _next_item(job: NextItemJob, facts: Mapping[str, Any]) -> NextItem:
    model = job.model
    return NextItem(
        history=job.data.history,
        max_length=job.data.max_length,
        latest=job.data.latest,
        items=facts["items"],
        build=partial(
            SASRec,
            dim=model.dim,
            blocks=model.blocks,
            heads=model.heads,
            hidden=model.hidden,
            dropout=model.dropout,
            max_length=job.data.max_length,
        ),
        dim=model.dim,
        standard_deviation=job.tables.items.standard_deviation,
        loss=_scored_loss(job.loss, facts["items"]),
        ks=job.evaluate.ks,
    )


def _scored_loss(loss: SampledSoftmax | BinaryCrossEntropy | GeneralizedBinaryCrossEntropy, items: int) -> ScoredLoss:
    if isinstance(loss, SampledSoftmax):
        return ScoredLoss(loss.negatives, True, partial(sampled_softmax, temperature=loss.temperature))
    if isinstance(loss, GeneralizedBinaryCrossEntropy):
        return ScoredLoss(loss.negatives, True, partial(gbce, items=items, calibration=loss.calibration))
    return ScoredLoss(loss.negatives, False, bce)
