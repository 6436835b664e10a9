"""The section ``run``: where a run lives and how many processes it takes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from saccade.cluster.job.section import Section

Count = Annotated[int, Field(ge=1)]


class Run(Section):
    """Where a run lives and how many processes it takes."""

    name: str = Field(default="job", pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]*$", max_length=128)
    """The run's folder inside the storage: letters, digits, '.', '_' and '-'. Where no job file sets it: the file's own
    name."""

    storage: str = Field(default="runs", min_length=1)
    """The folder that holds runs; every node must see it."""

    start_from: str | None = Field(default=None, min_length=1)
    """A run's folder, or one of its checkpoints: a new run begins with its weights and optimizer state. A run that has
    checkpoints of its own resumes from those."""

    workers: Count | tuple[Count, Count] = 1
    """Processes to train with; `[least, most]` lets their number follow the cluster's nodes as they come and go. It
    changes the speed, not the result."""

    cpus_per_worker: int = Field(default=1, ge=1)
    """CPU cores (and threads) of a worker."""

    seed: int = Field(default=0, ge=0, lt=2**32)
    """Seeds the initial weights, the order of rows, negatives and dropout."""

    max_failures: int = Field(default=3, ge=0)
    """How often a run is started again after losing a worker. Workers that were warned (a node that is taken back) and
    changes of their number don't count."""

    @field_validator("workers")
    @classmethod
    def _least_before_most(cls, workers: Any) -> Any:
        if isinstance(workers, tuple) and workers[0] > workers[1]:
            message = "run.workers=[{least}, {most}]: write the least number first, as in [{most}, {least}]"
            raise PydanticCustomError("job", message, {"least": workers[0], "most": workers[1]})
        return workers

    @property
    def folder(self) -> Path:
        """The run's folder, ``storage/name``."""
        return Path(self.storage) / self.name
