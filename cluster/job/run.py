"""The section ``run``: where a run lives and how many processes it takes."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from saccade.cluster.job.section import Section


class Run(Section):
    """Where a run lives and how many processes it takes."""

    name: str = Field(default="job", pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]*$", max_length=128)
    """The run's folder inside the storage: letters, digits, '.', '_' and '-'. Where no job file sets it: the file's own
    name."""

    storage: str = Field(default="runs", min_length=1)
    """The folder that holds runs; every node must see it."""

    workers: int = Field(default=1, ge=1)
    """Processes to train with. It changes the speed, not the result."""

    cpus_per_worker: int = Field(default=1, ge=1)
    """CPU cores (and threads) of a worker."""

    seed: int = Field(default=0, ge=0, lt=2**32)
    """Seeds the initial weights, the order of rows, negatives and dropout."""

    max_failures: int = Field(default=3, ge=0)
    """How often a run is started again after losing a worker."""

    @property
    def folder(self) -> Path:
        """The run's folder, ``storage/name``."""
        return Path(self.storage) / self.name
