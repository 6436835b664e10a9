"""The section ``checkpoint``: how often to save, and how many to keep."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from saccade.cluster.job.section import Section


class Checkpoint(Section):
    """How often to save, and how many to keep."""

    every_seconds: float = Field(default=60.0, gt=0)
    """Seconds from one checkpoint to the next; each epoch's evaluation saves one too. Training goes on meanwhile."""

    keep_last: int = Field(default=2, ge=1)
    """How many of the newest are kept."""

    keep_best: int = Field(default=1, ge=0)
    """How many of the best by evaluate.select are kept besides."""

    on_error: Literal["stop", "continue"] = "stop"
    """What a checkpoint that can't be written does: end the training, or warn and try again after every_seconds. At the
    end of a run it is an error either way."""
