"""The network that a job's section ``model`` describes."""

from __future__ import annotations

from functools import partial
from typing import Any, get_args

from saccade.cluster.job import Job, NextItemJob, SpeechClassificationJob
from saccade.cluster.job.data import SpeechClassificationData
from saccade.cluster.job.keys import sections_in
from saccade.cluster.job.model import Network, PluginModel, SasRec, SpeechEncoder, TextEncoder
from saccade.cluster.job.next_item_models import Bert4Rec, Gru4Rec, Hstu, TwoTowers
from saccade.cluster.parts.choose import checked_options, choose, choose_attention, find
from saccade.models.recommendation import two_towers as towers
from saccade.models.recommendation.bert4rec import BERT4Rec
from saccade.models.recommendation.gru4rec import GRU4Rec
from saccade.models.recommendation.hstu import HSTURecommender
from saccade.models.recommendation.sasrec import SASRec
from saccade.models.speech.classifier import SpeechClassifier
from saccade.models.speech.log_mel import LogMel
from saccade.models.text.classifier import TextClassifier


def network_of(job: Job, classes: int = 0) -> partial[Any]:
    """The call that builds it; ``func`` is its class, ``keywords`` all its arguments.

    Args:
        job: whose plug-ins are loaded.
        classes: how many a classification has.

    Raises:
        UserError: no such model or part, or a wrong option.
    """
    model = job.model
    if isinstance(model, Gru4Rec):
        return partial(GRU4Rec, **model.model_dump(include={"dim", "hidden", "layers", "dropout"}))
    if isinstance(model, TwoTowers):
        return partial(towers.TwoTowers, **model.model_dump(exclude={"name"}))
    assert isinstance(model, Network)
    known: dict[str, Any] = model.model_dump(include={"dim", "blocks", "heads", "hidden", "dropout"})
    known |= {
        "max_length": job.data.max_length,
        "attention": choose_attention(model.attention),
        "block": choose("block", "model.block", model.block),
    }
    if not isinstance(job, NextItemJob):
        known["classes"] = classes
    if isinstance(job, SpeechClassificationJob):
        known["features"] = log_mel(job.data)
    if isinstance(model, SasRec):
        return partial(SASRec, **known)
    if isinstance(model, Hstu):
        return partial(HSTURecommender, **known)
    if isinstance(model, Bert4Rec):
        return partial(BERT4Rec, **known)
    if isinstance(model, TextEncoder):
        return partial(TextClassifier, **known, token_dropout=model.token_dropout, reach=model.reach)
    if isinstance(model, SpeechEncoder):
        return partial(
            SpeechClassifier,
            **known,
            stacked=model.stacked,
            reach=model.reach,
            masked_bands=model.masked_bands,
            masked_time=model.masked_time,
        )
    assert isinstance(model, PluginModel)
    sections = sections_in(type(job).model_fields["model"].annotation)
    own = [get_args(one.model_fields["name"].annotation)[0] for one in sections if one is not PluginModel]
    found = find("model", "model.name", model.name, own)
    options = checked_options(found, "model.options", model.options)
    return partial(found.cls, **{name: known[name] for name in known if name in found.parameters}, **options)


def log_mel(data: SpeechClassificationData) -> LogMel:
    """How a job's samples become frames."""
    return LogMel(data.sampling_rate, data.mels, data.frame_ms, data.hop_ms)
