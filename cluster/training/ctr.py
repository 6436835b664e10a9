"""The task and the network of a click-prediction job."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch

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
from saccade.models.recommendation.mlp import Logits
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
    network: CtrNetwork = _built(ctr_call(job))
    return network


def ctr_call(job: CtrJob) -> partial[Any]:
    """The call that builds it; some of its arguments are such calls themselves, so that an export can name them."""
    model, features = job.model, job.data.features
    pooling = [f.pooling if f.type == "ids" else None for f in features if f.type != "number"]
    vectors = {
        "vectors": len(pooling) + (job.data.history is not None),
        "dim": model.dim,
        "numbers": sum(feature.type == "number" for feature in features),
    }
    if isinstance(model, DlrmModel):
        interaction: partial[Any] = partial(DotInteraction, **vectors, dropout=model.dropout)
    elif isinstance(model, Dcnv2Model):
        interaction = partial(CrossNetwork, **vectors, crosses=model.crosses, rank=model.rank)
    else:
        interaction = partial(Concat, **vectors)
    with torch.device("meta"):  # takes no memory, and no random number
        width = _built(interaction).width
    parts: dict[str, Any] = {  # in the order in which they draw their random numbers
        "history": None if job.data.history is None else _history(job),
        "interaction": interaction,
        "head": _head(job, width),
    }
    return partial(CtrNetwork, dim=model.dim, pooling=pooling, dropout=model.dropout, **parts)


def _built(call: partial[Any]) -> Any:
    arguments = {name: _built(value) if isinstance(value, partial) else value for name, value in call.keywords.items()}
    return call.func(**arguments)


def _history(job: CtrJob) -> partial[Any]:
    model, length = job.model, job.data.max_length
    if isinstance(model, DinModel):
        return partial(DIN, dim=model.dim, layers=model.unit, activation=model.activation, normalizer=model.normalizer)
    if isinstance(model, BstModel):
        sizes = model.model_dump(include={"dim", "blocks", "heads", "hidden", "dropout"})
        attention, block = choose_attention(model.attention), choose("block", "model.block", model.block)
        return partial(BST, **sizes, max_length=length, attention=attention, block=block)
    if isinstance(model, TargetAttentionModel):
        attention = choose_attention(model.attention)
        return partial(TargetAttention, dim=model.dim, heads=model.heads, max_length=length, attention=attention)
    return partial(DIEN, dim=model.dim) if isinstance(model, DienModel) else partial(MeanPooling)


def _head(job: CtrJob, width: int) -> partial[Any]:
    model = job.model
    known = model.model_dump(include={"layers", "dropout", "activation"})
    known |= {"inputs": width, "labels": len(job.data.labels)}
    return partial(Logits, **known) if model.experts is None else partial(MMoE, **known, experts=model.experts)
