"""A copy of an engine's state in host memory, so that training may change the original at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from saccade.pipelines.shard import TableShard

if TYPE_CHECKING:  # engine.py imports the reader, and so this package
    from saccade.pipelines.engines.engine import EngineState


def tensors(state: EngineState) -> list[Tensor]:
    """All tensors of a state."""
    tables = [tensor for shard in state.shards for tensor in (shard.weight, *shard.optimizer.values())]
    return [*tables, *state.network.values()]


class HostMemory:
    """Takes the copies, and keeps their memory for the next ones: fresh pages cost more than the copy itself."""

    def __init__(self) -> None:
        self._kept: dict[str, Tensor] = {}

    def copy(self, state: EngineState) -> EngineState:
        """The same state in host memory (page-locked for a GPU's tensors); it lasts until the next call."""
        old, self._kept = self._kept, {}

        def copied(name: str, tensor: Tensor) -> Tensor:
            memory = old.get(name)
            if memory is None or memory.shape != tensor.shape or memory.dtype != tensor.dtype:
                memory = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=tensor.is_cuda)
            self._kept[name] = memory.copy_(tensor.detach(), non_blocking=True)
            return memory

        shards = []
        for shard in state.shards:
            name = f"tables/{shard.table}/{shard.rows}/{shard.columns}"
            optimizer = {key: copied(f"{name}/optimizer/{key}", value) for key, value in shard.optimizer.items()}
            weight = copied(f"{name}/weight", shard.weight)
            shards.append(TableShard(shard.table, shard.rows, shard.columns, weight, optimizer))
        network = {name: copied(f"network/{name}", tensor) for name, tensor in state.network.items()}
        for device in {tensor.device for tensor in tensors(state) if tensor.is_cuda}:
            torch.cuda.current_stream(device).synchronize()
        return type(state)(shards, network, dict(state.scalars))
