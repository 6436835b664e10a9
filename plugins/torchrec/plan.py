"""Which rank holds which part of which table."""

from __future__ import annotations

import math
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torchrec.distributed.embedding import EmbeddingCollectionSharder
from torchrec.distributed.planner import EmbeddingShardingPlanner, Topology
from torchrec.distributed.planner.types import ParameterConstraints
from torchrec.modules.embedding_configs import EmbeddingConfig
from torchrec.modules.embedding_modules import EmbeddingCollection

from saccade.models.table import Table
from saccade.pipelines.collective import Collective
from saccade.pipelines.errors import UserError
from saccade.pipelines.optimizers import TableOptimizer

Cut = Literal["row", "table", "column", "table_row", "replicated"]
Sharding = Literal["row", "table", "column", "table_row", "replicated", "auto"]

PLANNER_CUTS: dict[str, Cut] = {
    "table_wise": "table",
    "row_wise": "row",
    "column_wise": "column",
}


@dataclass(frozen=True)
class Placement:
    """Where a table is.

    Attributes:
        cut: ``row`` and ``column``: equal parts on all ranks; ``table``: whole on one rank; ``table_row``: its rows in
            equal parts on the ranks of one node; ``replicated``: whole on every rank.
        ranks: that hold its parts, in the parts' order.
    """

    cut: Cut
    ranks: tuple[int, ...]


def nodes(collective: Collective) -> list[range]:
    """Each node's ranks, from what the launcher tells every rank of its own node. A collective."""
    sizes = collective.gather_objects(int(os.environ.get("LOCAL_WORLD_SIZE", collective.world_size)))
    found, first = [], 0
    while first < collective.world_size:
        last = min(first + max(sizes[first], 1), collective.world_size)
        found.append(range(first, last))
        first = last
    return found


def place(
    tables: Sequence[Table],
    optimizers: Mapping[str, TableOptimizer],
    shardings: Mapping[str, Sharding],
    *,
    device: torch.device,
    collective: Collective,
    scored: Collection[str] = (),
) -> dict[str, Placement]:
    """A place for every table. A collective, the same on every rank.

    Whole tables are dealt to ranks (or, for ``table_row``, to nodes) in turn. ``auto`` asks TorchRec's planner; it
    never cuts the columns of a table whose optimizer keeps a number for a whole row, nor of one that a loss scores as a
    whole: ranks would have to exchange every score.

    Args:
        tables: of the model.
        optimizers: for each table's name.
        shardings: for each table's name.
        device: where the parts are to live.
        collective: all ranks.
        scored: the names of tables that a loss scores as a whole.

    Raises:
        UserError: a table can't be cut so.
    """
    everyone = tuple(range(collective.world_size))
    hosts = nodes(collective)
    found: dict[str, Placement] = {}
    for table in tables:
        cut = shardings[table.name]
        if cut == "table":
            whole = sum(placement.cut == "table" for placement in found.values())
            found[table.name] = Placement("table", (whole % collective.world_size,))
        elif cut == "table_row":
            whole = sum(placement.cut == "table_row" for placement in found.values())
            found[table.name] = Placement("table_row", tuple(hosts[whole % len(hosts)]))
        elif cut != "auto":
            found[table.name] = Placement(cut, everyone)
        if cut == "column" and (table.dim % len(everyone) or table.dim // len(everyone) % 4):
            raise UserError(
                f"sharding column can't cut table {table.name!r} of dim {table.dim} into {len(everyone)} parts, one a "
                "worker: each part must be a multiple of 4 wide; choose another engine.sharding or model.dim"
            )
    open_ = [table for table in tables if shardings[table.name] == "auto"]
    for dim in {table.dim: None for table in open_}:
        whole_rows = {t.name for t in open_ if optimizers[t.name].row_states or t.dim % 4 or t.name in scored}
        found |= _planned([t for t in open_ if t.dim == dim], whole_rows, hosts, device, collective)
    return {table.name: found[table.name] for table in tables}


def _planned(
    tables: Sequence[Table],
    whole_rows: Collection[str],
    hosts: Sequence[range],
    device: torch.device,
    collective: Collective,
) -> dict[str, Placement]:
    """What TorchRec's planner, run by rank 0 for all, makes of tables of one dim; some aren't cut by columns."""
    collection = empty_collection([EmbeddingConfig(**config(table)) for table in tables])
    constraints = {}
    for table in tables:
        types = ["table_wise", "row_wise"] if table.name in whole_rows else list(PLANNER_CUTS)
        constraints[PREFIX + table.name] = ParameterConstraints(sharding_types=types, compute_kernels=["fused"])
    local_size = math.gcd(*(len(host) for host in hosts))
    topology = Topology(world_size=collective.world_size, local_world_size=local_size, compute_device=device.type)
    planner = EmbeddingShardingPlanner(topology=topology, constraints=constraints)
    group = torch.distributed.group.WORLD
    plan = planner.collective_plan(collection, [EmbeddingCollectionSharder()], group).plan[""]
    found = {}
    for table in tables:
        planned = plan[PREFIX + table.name]
        cut = PLANNER_CUTS[planned.sharding_type]
        found[table.name] = Placement(cut, tuple(planned.ranks))
    return found


PREFIX = "table_"
"""TorchRec keeps tables in a ModuleDict, where names such as ``items`` would hide its methods."""


def config(table: Table) -> dict[str, object]:
    """The arguments of TorchRec's description of a table."""
    return {
        "name": PREFIX + table.name,
        "embedding_dim": table.dim,
        "num_embeddings": table.rows,
        "feature_names": list(table.features),
    }


def empty_collection(configs: Sequence[EmbeddingConfig]) -> EmbeddingCollection:
    """A collection without storage."""
    return EmbeddingCollection(tables=list(configs), device=torch.device("meta"))
