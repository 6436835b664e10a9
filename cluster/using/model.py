"""A trained model opened for use, from whichever of the three forms it lies in: a run, a checkpoint or an export."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from saccade.cluster.job import Job, NextItemJob, parse_job
from saccade.cluster.job.load import apply_override
from saccade.cluster.job.next_item_models import Counted
from saccade.cluster.parts.check import check_parts
from saccade.cluster.training.counting import counted_engine, load_counted
from saccade.cluster.training.engines import choose_device
from saccade.cluster.training.tasks import make_task
from saccade.cluster.training.trained import find_trained
from saccade.cluster.training.transforms import load_transforms
from saccade.models.exported import DESCRIPTION, WEIGHTS, read_export
from saccade.pipelines.checkpoint.manifest import NAME as MANIFEST
from saccade.pipelines.checkpoint.reader import CheckpointReader
from saccade.pipelines.errors import UserError
from saccade.pipelines.inference.answering import Answering
from saccade.pipelines.inference.counted import CountedScores
from saccade.pipelines.inference.weights import Weights
from saccade.pipelines.task import Task
from saccade.pipelines.transforms.chain import Chain

ONE_PROCESS = "engine.name=reference"


@dataclass(frozen=True, eq=False)
class Model:
    """A trained model in this process, its tables whole.

    Attributes:
        job: that trained it.
        facts: that were found in the training data.
        task: of the job.
        transforms: of the job, as they were fitted.
        weights: of network and tables, or what a model that learns none has counted.
        source: the folder that the weights are from.
    """

    job: Job
    facts: Mapping[str, Any]
    task: Task
    transforms: Chain
    weights: Answering
    source: Path


def is_export(path: Path) -> bool:
    """Whether it is an exported folder, or the file of weights in one."""
    return (path / DESCRIPTION).is_file() or path.name == WEIGHTS


def is_model(path: Path) -> bool:
    """Whether it is a checkpoint or an export: what stands for itself, without a run."""
    return (path / MANIFEST).is_file() or is_export(path)


def open_model(path: Path) -> Model:
    """The model at ``path``.

    Raises:
        UserError: there is none, it is damaged, or it needs what isn't here.
    """
    return _exported(path.parent if path.is_file() else path) if is_export(path) else _trained(path)


def _trained(path: Path) -> Model:
    trained = find_trained(path, [ONE_PROCESS])
    check_parts(trained.job, trained.run)
    if isinstance(trained.job, NextItemJob) and isinstance(trained.job.model, Counted):
        counted = load_counted(trained.artifacts)
        return _counted(trained.job, trained.facts, trained.artifacts, counted, trained.checkpoint)
    checkpoint = CheckpointReader(trained.checkpoint)
    names = [name for name in checkpoint.network if name.startswith("weight/")]
    network = {name.removeprefix("weight/"): checkpoint.network[name] for name in names}
    tables = {name: checkpoint.table(name, "weight") for name in checkpoint.manifest.tables}
    step = int(checkpoint.manifest.engine.get("steps", 0))
    return _model(trained.job, trained.facts, trained.artifacts, network, tables, step, trained.checkpoint)


def _counted(
    job: NextItemJob, facts: Mapping[str, Any], artifacts: Path, counted: Mapping[str, Tensor], source: Path
) -> Model:
    task = make_task(job, facts, artifacts)
    scores = CountedScores(task, counted_engine(job, facts["items"], counted))
    return Model(job, facts, task, load_transforms(job, artifacts), scores, source)


def _exported(folder: Path) -> Model:
    try:
        description, tensors = read_export(folder)
    except ValueError as error:
        raise UserError(str(error)) from None
    if "network" not in description:
        raise UserError(f"{folder} has weights alone, of a checkpoint without facts: export its run instead")
    values = dict(description["job"])
    apply_override(values, ONE_PROCESS)
    job = parse_job(values)
    network = {n.removeprefix("network/"): t for n, t in tensors.items() if n.startswith("network/")}
    if isinstance(job, NextItemJob) and isinstance(job.model, Counted):
        return _counted(job, description["facts"], folder, network, folder)
    tables = {n.removeprefix("tables/"): t for n, t in tensors.items() if n.startswith("tables/")}
    step = int(description.get("engine", {}).get("steps", 0))
    return _model(job, description["facts"], folder, network, tables, step, folder)


def _model(
    job: Job,
    facts: Mapping[str, Any],
    artifacts: Path,
    network: Mapping[str, Tensor],
    tables: Mapping[str, Tensor],
    step: int,
    source: Path,
) -> Model:
    task = make_task(job, facts, artifacts)
    try:
        weights = Weights(task, network, tables, step, choose_device(job))
    except UserError as error:
        raise UserError(f"{source}: {error}") from None
    return Model(job, facts, task, load_transforms(job, artifacts), weights, source)
