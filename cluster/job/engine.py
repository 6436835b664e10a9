"""The section ``engine``: what runs the steps. Nothing in it changes the result."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from saccade.cluster.job.section import Section


class Engine(Section):
    """What runs the steps. Nothing in it changes the result beyond rounding."""

    name: Literal["hybrid", "reference"] = "hybrid"
    """hybrid: TorchRec tables and a DeepSpeed network on Ray workers. reference: plain torch in this one process,
    whatever run.workers says."""

    zero_stage: int = Field(default=2, ge=0, le=3)
    """What DeepSpeed shards of the network: 0 nothing, 1 optimizer state, 2 gradients too, 3 weights too."""

    sharding: Literal["auto", "row", "table", "column"] = "auto"
    """How TorchRec splits tables among workers; auto: its planner chooses."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where it runs; auto: CUDA where there is a GPU for every worker."""
