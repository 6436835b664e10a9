"""The task that a job names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from saccade.cluster.job import Job, NextItemJob, SpeechClassificationJob, TextClassificationJob
from saccade.cluster.job.loss import BinaryCrossEntropy, GeneralizedBinaryCrossEntropy, SampledSoftmax
from saccade.cluster.job.model import Network
from saccade.cluster.training.facts import TOKENIZER
from saccade.models.losses.binary import bce, gbce
from saccade.models.losses.sampled_softmax import sampled_softmax
from saccade.models.recommendation.sasrec import SASRec
from saccade.models.speech.classifier import SpeechClassifier
from saccade.models.speech.log_mel import LogMel
from saccade.models.text.classifier import TextClassifier
from saccade.pipelines.errors import UserError
from saccade.pipelines.task import Task
from saccade.pipelines.tasks.negatives import ScoredLoss
from saccade.pipelines.tasks.next_item import NextItem
from saccade.pipelines.tasks.speech_classification import SpeechClassification
from saccade.pipelines.tasks.text_classification import TextClassification
from saccade.pipelines.text.tokenizer import Tokenizer


def make_task(job: Job, facts: Mapping[str, Any], artifacts: Path) -> Task:
    """The job's task, from what ``gather_facts`` found and left in ``artifacts``."""
    if isinstance(job, NextItemJob):
        return _next_item(job, facts)
    if isinstance(job, TextClassificationJob):
        return _text(job, facts["labels"], Tokenizer.load(artifacts / TOKENIZER))
    if isinstance(job, SpeechClassificationJob):
        return _speech(job, facts["labels"])
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
            **_attention(model),
            max_length=job.data.max_length,
        ),
        dim=model.dim,
        standard_deviation=job.tables.items.standard_deviation,
        loss=_scored_loss(job.loss, facts["items"]),
        ks=job.evaluate.ks,
    )


def _text(job: TextClassificationJob, labels: Sequence[str], tokenizer: Tokenizer) -> TextClassification:
    model = job.model
    return TextClassification(
        text=job.data.text,
        label=job.data.label,
        labels=labels,
        tokenizer=tokenizer,
        max_length=job.data.max_length,
        build=partial(
            TextClassifier,
            classes=len(labels),
            **_attention(model),
            token_dropout=model.token_dropout,
            reach=model.reach,
            max_length=job.data.max_length,
        ),
        dim=model.dim,
        standard_deviation=job.tables.tokens.standard_deviation,
        label_smoothing=job.loss.label_smoothing,
    )


def _speech(job: SpeechClassificationJob, labels: Sequence[str]) -> SpeechClassification:
    data, model = job.data, job.model
    features = LogMel(data.sampling_rate, data.mels, data.frame_ms, data.hop_ms)
    return SpeechClassification(
        audio=data.audio,
        label=data.label,
        labels=labels,
        features=features,
        max_length=data.max_length,
        build=partial(
            SpeechClassifier,
            classes=len(labels),
            features=features,
            stacked=model.stacked,
            **_attention(model),
            reach=model.reach,
            masked_bands=model.masked_bands,
            masked_time=model.masked_time,
        ),
        label_smoothing=job.loss.label_smoothing,
    )


def _attention(model: Network) -> dict[str, Any]:
    """The keys that every attention network has, as its constructor names them."""
    return model.model_dump(include={"dim", "blocks", "heads", "hidden", "dropout"})


def _scored_loss(loss: SampledSoftmax | BinaryCrossEntropy | GeneralizedBinaryCrossEntropy, items: int) -> ScoredLoss:
    if isinstance(loss, SampledSoftmax):
        return ScoredLoss(loss.negatives, True, partial(sampled_softmax, temperature=loss.temperature))
    if isinstance(loss, GeneralizedBinaryCrossEntropy):
        return ScoredLoss(loss.negatives, True, partial(gbce, items=items, calibration=loss.calibration))
    return ScoredLoss(loss.negatives, False, bce)
