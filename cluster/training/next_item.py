"""The task next_item as a job describes it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from saccade.cluster.job import NextItemJob
from saccade.cluster.job.loss import (
    BinaryCrossEntropy,
    Bpr,
    FullSoftmax,
    GeneralizedBinaryCrossEntropy,
    InfoNce,
    NextItemLoss,
    SampledSoftmax,
)
from saccade.cluster.job.model import LearnedModel
from saccade.cluster.job.next_item_models import Bert4Rec, TwoTowers
from saccade.cluster.training.measures import holdout_of, measures_of
from saccade.cluster.training.networks import network_of
from saccade.cluster.training.popularity import load_counts
from saccade.models.losses import full_softmax
from saccade.models.losses.binary import bce, gbce
from saccade.models.losses.pairwise import bpr
from saccade.models.losses.sampled_softmax import sampled_softmax
from saccade.models.recommendation.side_features import WithSideFeatures
from saccade.pipelines.tasks.features import Feature
from saccade.pipelines.tasks.negatives import UNIFORM, ScoredLoss
from saccade.pipelines.tasks.next_item import NEXT_TOKEN, NextItem
from saccade.pipelines.tasks.objectives.masked import Masked
from saccade.pipelines.tasks.objectives.objective import Objective
from saccade.pipelines.tasks.sampling import Popular, Sampler
from saccade.pipelines.tasks.two_towers import NextItemByTowers


def make_next_item(job: NextItemJob, facts: Mapping[str, Any], artifacts: Path) -> NextItem:
    """The task, from what was counted; a model that is counted itself has no network, and a table of one column."""
    learned = job.model if isinstance(job.model, LearnedModel) else None
    build: partial[Any] = network_of(job) if learned else partial(nn.Identity)
    features = _features(job, facts, learned.dim) if learned else []
    if learned and features:
        sizes = {feature.name: feature.dim or None for feature in features}
        build = partial(WithSideFeatures, network=build, dim=learned.dim, features=sizes, combine=job.data.combine)
    kind = NextItemByTowers if isinstance(job.model, TwoTowers) else NextItem
    return kind(
        history=job.data.history,
        max_length=job.data.max_length,
        latest=job.data.latest,
        items=facts["items"],
        build=build,
        dim=learned.dim if learned else 1,
        standard_deviation=job.tables.items.standard_deviation,
        loss=scored_loss(job.loss if learned else SampledSoftmax(), facts["items"], artifacts),
        ks=job.evaluate.ks,
        measures=measures_of(job, artifacts),
        holdout=holdout_of(job),
        objective=_objective(job),
        times=job.data.times if learned else None,
        features=features,
    )


def _features(job: NextItemJob, facts: Mapping[str, Any], dim: int) -> list[Feature]:
    rows = facts.get("features", {})
    return [
        Feature(each.column, "number")
        if each.kind == "number"
        else Feature(
            each.column,
            each.kind,
            rows[each.column],
            each.dim or dim,
            job.tables.features.standard_deviation,
        )
        for each in job.data.features
    ]


def _objective(job: NextItemJob) -> Objective:
    if isinstance(job.model, Bert4Rec):
        return Masked(job.model.masked, job.model.only_last)
    return NEXT_TOKEN


def scored_loss(loss: NextItemLoss, items: int, artifacts: Path) -> ScoredLoss | full_softmax.FullSoftmax:
    """The loss, with its negatives where it has some; ``artifacts`` holds the items' counts, where it needs them."""
    if isinstance(loss, FullSoftmax):
        return full_softmax.FullSoftmax(loss.label_smoothing, loss.temperature)
    if isinstance(loss, GeneralizedBinaryCrossEntropy):
        return ScoredLoss(loss.negatives, True, partial(gbce, items=items, calibration=loss.calibration))
    if isinstance(loss, BinaryCrossEntropy | Bpr):
        reduce = bce if isinstance(loss, BinaryCrossEntropy) else bpr
        return ScoredLoss(loss.negatives, False, reduce, sampler=_sampler(loss, artifacts))
    reduce = partial(sampled_softmax, label_smoothing=loss.label_smoothing)
    if isinstance(loss, InfoNce):
        return ScoredLoss(0, True, reduce, loss.temperature, in_batch=UNIFORM)
    return ScoredLoss(
        0 if loss.sampling == "in_batch" else loss.negatives,
        True,
        reduce,
        loss.temperature,
        sampler=_sampler(loss, artifacts),
        in_batch=Popular(load_counts(artifacts)) if loss.sampling in ("in_batch", "mixed") else None,
        log_q=loss.sampling != "uniform" if loss.log_q is None else loss.log_q,
    )


def _sampler(loss: SampledSoftmax | BinaryCrossEntropy | Bpr, artifacts: Path) -> Sampler:
    return Popular(load_counts(artifacts), loss.exponent) if loss.sampling == "popularity" else UNIFORM
