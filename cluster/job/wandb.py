"""The section ``wandb``: where Weights & Biases keeps the run's numbers."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from saccade.cluster.job.section import Section


class Wandb(Section):
    """Where Weights & Biases keeps the run's numbers. The API key is never part of a job file."""

    mode: Literal["auto", "offline", "online", "disabled"] = "auto"
    """auto: online where an API key is set, else offline (files in the run's folder, to be synced later)."""

    project: str = Field(default="saccade", min_length=1)
    """Project that the run belongs to."""

    entity: str | None = None
    """User or team; null: the account's default."""

    group: str | None = None
    """Name that runs of one experiment share."""

    tags: tuple[str, ...] = ()
    """Labels to find the run by."""
