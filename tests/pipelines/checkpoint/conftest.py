from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from saccade.models.table import Table
from saccade.pipelines.checkpoint.writer import save
from saccade.pipelines.collective import Collective
from saccade.pipelines.engines.engine import EngineState
from saccade.pipelines.shard import TableShard

ITEMS = Table("items", rows=10, dim=4, features=("item",))


@pytest.fixture
def small_state() -> EngineState:
    """A 10 x 4 table in two row pieces with Adagrad's sums, and a network of two tensors and a step counter."""
    generator = torch.Generator().manual_seed(0)

    def piece(first: int, end: int) -> TableShard:
        size = (end - first, 4)
        state = {"sum": torch.rand(size, generator=generator)}
        return TableShard("items", (first, end), (0, 4), torch.randn(size, generator=generator), state)

    network = {
        "weight/linear.weight": torch.randn(3, 4, generator=generator),
        "optimizer/exp_avg/linear.weight": torch.randn(3, 4, generator=generator),
        "optimizer/step/linear.weight": torch.tensor(7.0),
    }
    return EngineState([piece(0, 6), piece(6, 10)], network, {"loss_scale": 1024.0})


@pytest.fixture
def save_step(small_state: EngineState) -> Callable[[Path, int], Path]:
    """Saves the small state as a single process: ``save_step(folder, step)``."""

    def save_it(folder: Path, step: int) -> Path:
        return save(
            folder,
            small_state,
            step=step,
            training={"epoch": 1, "lanes": [[0, 2], [1, 0]], "best": 0.125},
            job={"run": {"name": "unit"}},
            tables=[ITEMS],
            collective=Collective(),
        )

    return save_it
