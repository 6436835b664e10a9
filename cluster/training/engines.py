"""The engine that a job names."""

from __future__ import annotations

import torch

from saccade.cluster.job import Job
from saccade.cluster.job.tables import FeatureTables, Table
from saccade.pipelines.engines.engine import Engine
from saccade.pipelines.engines.reference import ReferenceEngine
from saccade.pipelines.optimizers import NetworkOptimizer, TableOptimizer
from saccade.pipelines.task import Task


def make_engine(job: Job, task: Task, device: torch.device) -> Engine:
    """Build tables, network and optimizers; hybrid needs the process group of all workers."""
    optimizer = NetworkOptimizer(
        job.optimizer.name,
        job.optimizer.learning_rate,
        job.optimizer.betas,
        job.optimizer.eps,
        job.optimizer.weight_decay,
    )
    tables = {table.name: _table_optimizer(job, table.name) for table in task.tables}
    if job.engine.name == "reference":
        return ReferenceEngine(
            task,
            optimizer=optimizer,
            table_optimizers=tables,
            seed=job.run.seed,
            device=device,
            precision=job.train.precision,
            clip=job.optimizer.clip,
        )
    from saccade.plugins.hybrid.engine import HybridEngine

    return HybridEngine(
        task,
        optimizer=optimizer,
        table_optimizers=tables,
        seed=job.run.seed,
        device=device,
        lanes=job.train.micro_batches,
        zero_stage=job.engine.zero_stage,
        shardings={table.name: _table(job, table.name).sharding or job.engine.sharding for table in task.tables},
        offload_optimizer=job.engine.offload_optimizer,
        precision=job.train.precision,
        clip=job.optimizer.clip,
    )


def _table_optimizer(job: Job, table: str) -> TableOptimizer:
    settings = _table(job, table).optimizer
    return TableOptimizer(settings.name, settings.learning_rate, settings.eps, settings.betas, settings.weight_decay)


def _table(job: Job, name: str) -> Table | FeatureTables:
    """The section of a table: its own, or the one that the tables of side features share."""
    found: Table | FeatureTables = getattr(job.tables, name, None) or getattr(job.tables, "features")  # noqa: B009
    return found


def choose_device(job: Job) -> torch.device:
    """Where this process computes: its GPU if the job asks for one or leaves it open and there is one."""
    cuda = job.engine.device == "cuda" or (job.engine.device == "auto" and torch.cuda.is_available())
    return torch.device("cuda", torch.cuda.current_device()) if cuda else torch.device("cpu")
