"""The task and the network of a click-prediction job."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from torch import nn

from saccade.cluster.job import CtrJob
from saccade.cluster.job.ctr import BstModel, Dcnv2Model, DienModel, DinModel, DlrmModel, TargetAttentionModel
from saccade.cluster.parts.choose import choose, choose_attention
from saccade.models.recommendation.bst import BST
from saccade.models.recommendation.concat import Concat
from saccade.models.recommendation.ctr import CtrNetwork
from saccade.models.recommendation.dcnv2 import CrossNetwork
from saccade.models.recommendation.dien import DIEN
from saccade.models.recommendation.din import DIN
from saccade.models.recommendation.dlrm import DotInteraction
from saccade.models.recommendation.mean_pooling import MeanPooling
from saccade.models.recommendation.mlp import MLP
from saccade.models.recommendation.mmoe import MMoE
from saccade.models.recommendation.target_attention import TargetAttention
from saccade.pipelines.tasks.ctr import Ctr, Event, Feature, History, Search


def ctr_task(job: CtrJob, facts: Mapping[str, Any]) -> Ctr:
    """The task, with the tables' rows from ``ctr_facts``."""
    rows: Mapping[str, int] = facts["rows"]
    return Ctr(
        labels=job.data.labels,
        features=[Feature(f.column, f.type, rows.get(f.column, 0)) for f in job.data.features],
        history=ctr_history(job, rows),
        user=job.data.user,
        build=partial(ctr_network, job),
        dim=job.model.dim,
        standard_deviations={name: job.table(name).standard_deviation for name in rows},
        auxiliary=job.model.auxiliary if isinstance(job.model, DienModel) else None,
        resamples=job.evaluate.resamples,
    )


def ctr_history(job: CtrJob, rows: Mapping[str, int]) -> History | None:
    """What the task reads of a user's past; ``rows`` of the tables that only events have."""
    history = job.data.history
    if history is None:
        return None
    events = [Event(event.column, event.target, rows.get(event.column, 0)) for event in history.events]
    search = None if history.search is None else Search(history.search.column, history.search.target)
    return History(events, job.data.max_length, search)


def ctr_network(job: CtrJob) -> CtrNetwork:
    """The network that the section ``model`` describes, newly initialised."""
    model, features = job.model, job.data.features
    numbers = sum(feature.type == "number" for feature in features)
    pooling = [f.pooling if f.type == "ids" else None for f in features if f.type != "number"]
    vectors = len(pooling) + (job.data.history is not None)
    history = None if job.data.history is None else _history(job)
    interaction: nn.Module
    if isinstance(model, DlrmModel):
        interaction = DotInteraction(vectors, model.dim, numbers, model.dropout)
    elif isinstance(model, Dcnv2Model):
        interaction = CrossNetwork(vectors, model.dim, numbers, model.crosses, model.rank)
    else:
        interaction = Concat(vectors, model.dim, numbers)
    return CtrNetwork(model.dim, pooling, history, interaction, _head(job, interaction.width), model.dropout)


def _history(job: CtrJob) -> nn.Module:
    model, length = job.model, job.data.max_length
    if isinstance(model, DinModel):
        return DIN(model.dim, model.unit, model.activation, model.normalizer)
    if isinstance(model, BstModel):
        attention, block = choose_attention(model.attention), choose("block", "model.block", model.block)
        return BST(model.dim, model.blocks, model.heads, model.hidden, model.dropout, length, attention, block)
    if isinstance(model, TargetAttentionModel):
        return TargetAttention(model.dim, model.heads, length, choose_attention(model.attention))
    return DIEN(model.dim) if isinstance(model, DienModel) else MeanPooling()


def _head(job: CtrJob, width: int) -> nn.Module:
    model, labels = job.model, len(job.data.labels)
    if model.experts is not None:
        return MMoE(width, labels, model.experts, model.layers, model.dropout, model.activation)
    layers = MLP(width, model.layers, model.dropout, model.activation)
    return nn.Sequential(layers, nn.Linear(layers.width, labels))
