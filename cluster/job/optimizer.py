"""The section ``optimizer``: how the network learns, and the schedule that network and tables share."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from saccade.cluster.job.section import Section

Beta = Annotated[float, Field(ge=0, lt=1)]


class Optimizer(Section):
    """How the network learns, and the schedule that network and tables share."""

    name: Literal["adamw", "adam", "sgd", "adagrad", "lamb"] = "adamw"
    """The rule; lamb needs engine.zero_stage 0."""

    learning_rate: float = Field(default=1e-3, gt=0)
    """The rate at the schedule's peak."""

    betas: tuple[Beta, Beta] = (0.9, 0.98)
    """Decay of the running mean and of the running square (adamw, adam and lamb)."""

    weight_decay: float = Field(default=0.0, ge=0)
    """Pull of the weights to zero: decoupled from the gradient in adamw and lamb, added to it elsewhere."""

    eps: float = Field(default=1e-8, gt=0)
    """Added to the denominator (all but sgd)."""

    clip: float | None = Field(default=None, gt=0)
    """Largest norm of a step's gradient, over network and looked-up rows together; a longer one is scaled down."""

    warmup_steps: int = Field(default=0, ge=0)
    """Steps in which the rate rises linearly to its peak."""

    schedule: Literal["constant", "cosine", "linear"] = "constant"
    """How the rate falls between the warm-up and the last step."""

    final_fraction: float = Field(default=0.0, ge=0, le=1)
    """Share of the peak that is left at the last step (cosine and linear)."""
