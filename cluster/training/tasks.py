"""The task that a job names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from saccade.cluster.job import Job, NextItemJob, SpeechClassificationJob, TextClassificationJob
from saccade.cluster.job.loss import BinaryCrossEntropy, FullSoftmax, GeneralizedBinaryCrossEntropy, SampledSoftmax
from saccade.cluster.parts.use import use_plugins
from saccade.cluster.training.facts import TOKENIZER
from saccade.cluster.training.networks import log_mel, network_of
from saccade.models.losses import full_softmax
from saccade.models.losses.binary import bce, gbce
from saccade.models.losses.sampled_softmax import sampled_softmax
from saccade.pipelines.errors import UserError
from saccade.pipelines.task import Task
from saccade.pipelines.tasks.negatives import ScoredLoss
from saccade.pipelines.tasks.next_item import NextItem
from saccade.pipelines.tasks.speech_classification import SpeechClassification
from saccade.pipelines.tasks.text_classification import TextClassification
from saccade.pipelines.text.tokenizer import Tokenizer


def make_task(job: Job, facts: Mapping[str, Any], artifacts: Path) -> Task:
    """The job's task, from what ``gather_facts`` found and left in ``artifacts``, a folder inside the run's.

    Raises:
        UserError: a plug-in or a part that the job names can't be had.
    """
    use_plugins(job, artifacts.parent)
    if isinstance(job, NextItemJob):
        return _next_item(job, facts)
    if isinstance(job, TextClassificationJob):
        return _text(job, facts["labels"], Tokenizer.load(artifacts / TOKENIZER))
    if isinstance(job, SpeechClassificationJob):
        return _speech(job, facts["labels"])
    raise UserError(f"task {job.task} can't be trained")


def _next_item(job: NextItemJob, facts: Mapping[str, Any]) -> NextItem:
    return NextItem(
        history=job.data.history,
        max_length=job.data.max_length,
        latest=job.data.latest,
        items=facts["items"],
        build=network_of(job),
        dim=job.model.dim,
        standard_deviation=job.tables.items.standard_deviation,
        loss=_scored_loss(job.loss, facts["items"]),
        ks=job.evaluate.ks,
    )


def _text(job: TextClassificationJob, labels: Sequence[str], tokenizer: Tokenizer) -> TextClassification:
    return TextClassification(
        text=job.data.text,
        label=job.data.label,
        labels=labels,
        tokenizer=tokenizer,
        max_length=job.data.max_length,
        build=network_of(job, len(labels)),
        dim=job.model.dim,
        standard_deviation=job.tables.tokens.standard_deviation,
        label_smoothing=job.loss.label_smoothing,
    )


def _speech(job: SpeechClassificationJob, labels: Sequence[str]) -> SpeechClassification:
    return SpeechClassification(
        audio=job.data.audio,
        label=job.data.label,
        labels=labels,
        features=log_mel(job.data),
        max_length=job.data.max_length,
        build=network_of(job, len(labels)),
        label_smoothing=job.loss.label_smoothing,
    )


def _scored_loss(
    loss: SampledSoftmax | BinaryCrossEntropy | GeneralizedBinaryCrossEntropy | FullSoftmax, items: int
) -> ScoredLoss | full_softmax.FullSoftmax:
    if isinstance(loss, FullSoftmax):
        return full_softmax.FullSoftmax(loss.label_smoothing, loss.temperature)
    if isinstance(loss, SampledSoftmax):
        return ScoredLoss(loss.negatives, True, partial(sampled_softmax, temperature=loss.temperature))
    if isinstance(loss, GeneralizedBinaryCrossEntropy):
        return ScoredLoss(loss.negatives, True, partial(gbce, items=items, calibration=loss.calibration))
    return ScoredLoss(loss.negatives, False, bce)
