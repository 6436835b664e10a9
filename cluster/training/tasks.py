"""The task that a job names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from saccade.cluster.job import CtrJob, Job, NextItemJob, SpeechClassificationJob, TextClassificationJob
from saccade.cluster.parts.use import use_plugins
from saccade.cluster.training.ctr import ctr_task
from saccade.cluster.training.facts import TOKENIZER
from saccade.cluster.training.networks import log_mel, network_of
from saccade.cluster.training.next_item import make_next_item
from saccade.pipelines.errors import UserError
from saccade.pipelines.task import Task
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
        return make_next_item(job, facts, artifacts)
    if isinstance(job, TextClassificationJob):
        return _text(job, facts["labels"], Tokenizer.load(artifacts / TOKENIZER))
    if isinstance(job, SpeechClassificationJob):
        return _speech(job, facts["labels"])
    if isinstance(job, CtrJob):
        return ctr_task(job, facts)
    raise UserError(f"task {job.task} can't be trained")


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
