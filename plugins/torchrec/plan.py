"""Which rank holds which part of which table."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Literal

import torch
from torchrec.distributed.embedding import EmbeddingCollectionSharder
from torchrec.distributed.planner import EmbeddingShardingPlanner, Topology
from torchrec.distributed.planner.types import ParameterConstraints
from torchrec.distributed.sharding_plan import column_wise, construct_module_sharding_plan, row_wise, table_wise
from torchrec.distributed.types import EmbeddingModuleShardingPlan, ShardingPlan
from torchrec.modules.embedding_modules import EmbeddingCollection

Sharding = Literal["row", "table", "column", "auto"]


def make_plan(
    collection: EmbeddingCollection,
    sharder: EmbeddingCollectionSharder,
    sharding: Sharding,
    *,
    world_size: int,
    local_size: int,
    device: torch.device,
    group: Any,
    whole_rows: Collection[str],
) -> ShardingPlan:
    """The plan of a collection that is itself the root module.

    ``row`` cuts every table's rows into equal parts, ``column`` its columns, ``table`` deals whole tables in turn, and
    ``auto`` leaves it to TorchRec's planner, which rank 0 runs for all; it never cuts the rows of ``whole_rows``, the
    tables with an optimizer that keeps one number a row.
    """
    if sharding == "auto":
        topology = Topology(world_size=world_size, local_world_size=local_size, compute_device=device.type)
        constraint = ParameterConstraints(sharding_types=["table_wise", "row_wise", "table_row_wise"])
        planner = EmbeddingShardingPlanner(topology=topology, constraints=dict.fromkeys(whole_rows, constraint))
        return planner.collective_plan(collection, [sharder], group)
    tables = [config.name for config in collection.embedding_configs()]
    if sharding == "row":
        chosen = {name: row_wise() for name in tables}
    elif sharding == "column":
        chosen = {name: column_wise(ranks=list(range(world_size))) for name in tables}
    else:
        chosen = {name: table_wise(rank=index % world_size) for index, name in enumerate(tables)}
    module_plan: EmbeddingModuleShardingPlan = construct_module_sharding_plan(
        collection, chosen, sharder=sharder, local_size=local_size, world_size=world_size, device_type=device.type
    )
    return ShardingPlan({"": module_plan})
