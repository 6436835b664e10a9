"""The section ``train``: how long to train, and what an optimizer step is made of."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from saccade.cluster.job.section import Section


class Train(Section):
    """How long to train, and what an optimizer step is made of."""

    epochs: int = Field(default=10, ge=1)
    """Passes over the training rows."""

    micro_batches: int = Field(default=4, ge=1)
    """Micro-batches of a step (K), dealt to the workers; best a multiple of run.workers. It belongs to the result; the
    number of workers does not."""

    tokens: int = Field(default=2048, ge=1)
    """Token budget of a micro-batch: as many rows as fit."""

    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """Number format of the network's forward and backward pass; fp16 comes with a dynamic loss scale."""

    on_not_finite: Literal["stop", "skip", "rollback"] = "stop"
    """What a NaN or infinite loss or gradient does: end the run; leave that step out; or go back to the weights of the
    last checkpoint, and on with the rows after that step."""

    log_every: int = Field(default=10, ge=1)
    """Steps from one logged step to the next."""
