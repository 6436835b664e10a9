"""The readers of a job's splits."""

from __future__ import annotations

from saccade.cluster.job import Job
from saccade.cluster.training.sources import open_source
from saccade.pipelines.collective import Collective
from saccade.pipelines.order.reader import Reader
from saccade.pipelines.task import Split, Task
from saccade.pipelines.transforms.chain import Chain


def make_reader(
    job: Job, task: Task, split: Split, collective: Collective, transforms: Chain, fraction: float = 1.0
) -> Reader:
    """This rank's reader of a split, or of a fraction of its rows, in the global order that the job fixes."""
    return Reader(
        open_source(job, split, task.columns, transforms),
        task,
        split,
        seed=job.run.seed,
        lanes=job.train.micro_batches,
        window=job.data.window,
        tokens=job.train.tokens if split == "train" else job.evaluate.tokens,
        rank=collective.rank,
        world_size=collective.world_size,
        fraction=fraction,
    )
