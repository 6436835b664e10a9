"""The engine that a job names."""

from __future__ import annotations

import torch

from saccade.cluster.job import Job
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
        shardings={table.name: job.table(table.name).sharding or job.engine.sharding for table in task.tables},
        offload_optimizer=job.engine.offload_optimizer,
        precision=job.train.precision,
        clip=job.optimizer.clip,
    )


def _table_optimizer(job: Job, table: str) -> TableOptimizer:
    settings = job.table(table).optimizer
    return TableOptimizer(settings.name, settings.learning_rate, settings.eps, settings.betas, settings.weight_decay)


def choose_device(job: Job) -> torch.device:
    """Where this process computes: its GPU if the job asks for one or leaves it open and there is one."""
    cuda = job.engine.device == "cuda" or (job.engine.device == "auto" and torch.cuda.is_available())
    return torch.device("cuda", torch.cuda.current_device()) if cuda else torch.device("cpu")
