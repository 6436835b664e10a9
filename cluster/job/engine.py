"""The section ``engine``: what runs the steps. Nothing in it changes the result."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from saccade.cluster.job.section import Section

Sharding = Literal["auto", "row", "table", "column", "table_row", "replicated"]


class Engine(Section):
    """What runs the steps. Nothing in it changes the result beyond rounding."""

    name: Literal["hybrid", "reference"] = "hybrid"
    """hybrid: TorchRec tables and a DeepSpeed network on Ray workers. reference: plain torch in this one process,
    whatever run.workers says."""

    zero_stage: int = Field(default=1, ge=0, le=3)
    """What DeepSpeed shards of the network: 0 nothing, 1 optimizer state, 2 gradients too (and so reduces them after
    every micro-batch instead of once a step), 3 weights too. 0 is the fastest for a network of a few megabytes on
    one machine without GPUs."""

    offload_optimizer: bool = False
    """Keep the network's optimizer state, and its step, on the host instead of the GPU (ZeRO 1 to 3)."""

    sharding: Sharding = "auto"
    """How tables are split among workers: row and column, in equal parts over all of them; table, whole tables in turn;
    table_row, a table's rows over the workers of one node; replicated, every worker holds all of a (small) table, the
    fastest way for a few megabytes on one machine without GPUs; auto, TorchRec's planner chooses. tables.NAME.sharding
    sets it for one table."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where it runs; auto: CUDA where there is a GPU for every worker."""
