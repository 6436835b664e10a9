"""What sharded tables refuse; that they learn as whole ones do is tested with the engine (``tests/plugins/hybrid``)."""

from typing import Any

import pytest
import torch

from saccade.models.table import Table
from saccade.pipelines.collective import Collective
from saccade.pipelines.errors import UserError
from saccade.pipelines.optimizers import TableOptimizer
from saccade.plugins.torchrec.tables import ShardedTables


def shard(dim: int, optimizer: Any, workers: int) -> None:
    collective = Collective()
    collective.world_size = workers
    ShardedTables(
        [Table("items", 100, dim, ("history",))],
        {"items": TableOptimizer(optimizer)},
        "column",
        seed=0,
        device=torch.device("cpu"),
        collective=collective,
        local_size=workers,
    )


def test_columns_of_rowwise_sums_are_refused() -> None:
    with pytest.raises(UserError, match="engine.sharding=column cuts the rows of table 'items', and rowwise_adagrad"):
        shard(16, "rowwise_adagrad", 2)


@pytest.mark.parametrize(("dim", "workers"), [(6, 1), (12, 2), (16, 3)])
def test_columns_that_cannot_be_cut_are_refused(dim: int, workers: int) -> None:
    message = f"can't cut table 'items' of dim {dim} into run.workers={workers} parts: each part must"
    with pytest.raises(UserError, match=message):
        shard(dim, "adagrad", workers)
