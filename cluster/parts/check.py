"""What can be wrong with the parts that a job names, found before anything is started."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from saccade.cluster.job import CtrJob, Job, NextItemJob, SpeechClassificationJob
from saccade.cluster.job.attention import Attention
from saccade.cluster.job.data import Data
from saccade.cluster.job.model import LearnedModel, Network, PluginModel
from saccade.cluster.job.next_item_models import Counted, TwoTowers
from saccade.cluster.parts.check_ctr import check_ctr
from saccade.cluster.parts.choose import plugin_parts
from saccade.cluster.parts.use import use_plugins
from saccade.cluster.training.networks import log_mel, network_of
from saccade.models.attention.choice import AttentionChoice
from saccade.models.attention.positions.position import TokenPosition
from saccade.models.jagged import Jagged, Layout
from saccade.models.registry import Choice, Kind, entry
from saccade.pipelines.errors import UserError
from saccade.plugins.discovery import say

CLASSES = 3
"""Of the network that is tried: how many there are isn't known yet."""


def check_parts(job: Job, run: Path | None = None) -> None:
    """Load the job's plug-ins, check its parts' names and options, and try them on two small examples.

    Args:
        job: to be used.
        run: its run's folder, where there is one already.

    Raises:
        UserError: names the key, shows what was given and says what there is.
    """
    use_plugins(job, run)
    if isinstance(job, CtrJob):
        check_ctr(job)
        if isinstance(job.model, Network):
            _check_effect(job.model)
        return
    if isinstance(job.model, Counted):
        return
    build = network_of(job, CLASSES)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        if isinstance(job.model, Network):
            _make_parts(job.data, job.model, build.keywords)
            _check_effect(job.model)
        _try(job, _small(job, build))


def _make_parts(data: Data, model: Network, keywords: dict[str, Any]) -> None:
    """Make each part by itself: what a constructor refuses is then an error of its key."""
    attention, block = keywords.get("attention"), keywords.get("block")
    length = data.max_length
    head = max(1, model.dim // model.heads)
    key_heads = model.attention.key_heads or model.heads
    known = {"dim": head, "heads": model.heads, "key_heads": key_heads, "max_length": length}
    if isinstance(attention, AttentionChoice):
        _make("score", "model.attention.score", attention.score, known)
        _make("normalizer", "model.attention.normalizer", attention.normalizer, known)
        for place, choice in enumerate(attention.masks):
            _make("mask", f"model.attention.masks.{place}", choice, {})
        for place, choice in enumerate(attention.positions):
            outside = issubclass(entry("position", choice.name).cls, TokenPosition)
            token = {"dim": model.dim, "max_length": length}
            _make("position", f"model.attention.positions.{place}", choice, token if outside else known)
    if isinstance(block, Choice):
        whole = model.model_dump(include={"dim", "heads", "hidden", "dropout"})
        whole |= {"max_length": length, "mask": None, "attention": attention or AttentionChoice()}
        _make("block", "model.block", block, whole)


def _make(kind: Kind, key: str, choice: Choice, known: dict[str, Any]) -> None:
    """Build a choice and throw it away; what it raises becomes one line."""
    found = entry(kind, choice.name)
    try:
        choice.build(kind, **known)
    except ValueError as error:
        raise UserError(f"{key}: {error}") from None
    except Exception as error:
        what = f"{kind} {found.name} of {found.package}"
        raise UserError(f"{key}: the {what} can't be made: {say(error, found.cls.__module__)}") from None


def _check_effect(model: Network) -> None:
    """Refuse keys of the section that the chosen block or model doesn't look at: they would do nothing unnoticed."""
    if isinstance(model, PluginModel):
        takes = entry("model", model.name).parameters
        for name in ("blocks", "heads", "hidden", "dropout", "block"):
            if name not in takes and getattr(model, name) != Network.model_fields[name].default:
                raise UserError(f"model.{name} has no effect: the model {model.name} doesn't take it; leave it out")
        if "attention" not in takes and model.attention != Attention():
            raise UserError(f"model.attention has no effect: the model {model.name} doesn't take it; leave it out")
    elif "attention" not in entry("block", model.block.name).parameters:
        _check_unused(model)


def _check_unused(model: Network) -> None:
    """Refuse what a job says about the layers of blocks that make their own."""
    given, default = model.attention, Attention()
    names = ("score", "normalizer", "masks", "key_heads", "backend")
    ignored = [name for name in names if getattr(given, name) != getattr(default, name)]
    if any(not issubclass(entry("position", part.name).cls, TokenPosition) for part in given.positions):
        ignored.append("positions")
    if ignored:
        raise UserError(
            f"model.attention.{ignored[0]} has no effect: the block {model.block.name} makes its own attention; "
            "leave it out, or choose another model.block"
        )


def _small(job: Job, build: partial[Any]) -> partial[Any]:
    """The network with one block, and for a CPU: backends that need CUDA are left to choose by themselves."""
    keywords = dict(build.keywords)
    if "blocks" in keywords:
        keywords["blocks"] = 1
    if not _on_cpu(job):
        attention, block = keywords.get("attention"), keywords.get("block")
        if isinstance(attention, AttentionChoice):
            keywords["attention"] = replace(attention, backend="auto")
        if isinstance(block, Choice) and "backend" in block.options:
            keywords["block"] = Choice(block.name, {**block.options, "backend": "auto"})
    return partial(build.func, **keywords)


def _try(job: Job, build: partial[Any]) -> None:
    """Compute two small examples."""
    model, key = job.model, "model.name" if isinstance(job.model, PluginModel) else "model"
    try:
        network: nn.Module = build().eval()
        examples = _examples(job)
        output = network(examples)
    except ValueError as error:
        timeless = isinstance(job, NextItemJob) and job.data.times is None and "needs every token's time" in str(error)
        hint = " (data.times names the column that has them)" if timeless else ""
        raise UserError(f"{key}: {model.name} can't compute a batch of {job.task}: {error}{hint}") from None
    except Exception as error:
        if not _on_cpu(job):
            return  # a part may be made for CUDA
        parts = plugin_parts(model)
        where = say(error, parts[0].cls.__module__ if parts else "saccade.models")
        raise UserError(f"{key}: {model.name} can't compute a batch of {job.task}: {where}") from None
    assert isinstance(model, LearnedModel)
    width = model.output if isinstance(model, TwoTowers) else model.dim
    wanted = (examples.layout.total, width) if isinstance(job, NextItemJob) else (len(examples), CLASSES)
    if not isinstance(output, Tensor) or output.shape != wanted:
        shape = list(output.shape) if isinstance(output, Tensor) else type(output).__name__
        names = "[tokens, dim]" if isinstance(job, NextItemJob) else "[examples, classes]"
        raise UserError(f"{key}: {model.name} gives {shape} for {names} = {list(wanted)}: see docs/plugins.md")


def _examples(job: Job) -> Jagged:
    """What the network gets: embedded tokens, or samples."""
    most = job.data.max_length
    if isinstance(job, SpeechClassificationJob):
        features = log_mel(job.data)
        lengths = torch.tensor([features.samples(min(most, 8)), features.samples(1)])
        return Jagged(torch.rand(int(lengths.sum())) - 0.5, Layout(lengths))
    assert isinstance(job.model, LearnedModel)
    lengths = torch.tensor([min(most, 5), 1])
    total = int(lengths.sum())
    time = torch.arange(total) if isinstance(job, NextItemJob) and job.data.times else None
    return Jagged(torch.randn(total, job.model.dim), Layout(lengths, time=time))


def _on_cpu(job: Job) -> bool:
    """Whether the job's workers surely compute on a CPU."""
    if job.engine.device == "auto":
        elsewhere = os.environ.get("RAY_ADDRESS", "local") not in ("", "local") and job.engine.name != "reference"
        return not elsewhere and not torch.cuda.is_available()
    return job.engine.device == "cpu"
