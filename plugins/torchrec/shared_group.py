"""The process group of TorchRec's look-ups: where ranks share memory, rows are exchanged through it.

A look-up has four exchanges (how many ids, which, and the rows of them), and its gradient has one more.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.futures import Future

from saccade.pipelines.shared_memory import SharedMemory, share_memory

BACKEND = "saccade_shared_memory"


class SharedGroup(dist.ProcessGroup):
    """All ranks, for the one collective that TorchRec's look-ups need."""

    def __init__(self, rank: int, world_size: int, memory: SharedMemory) -> None:
        """``memory`` is that of the default group."""
        super().__init__(rank, world_size)  # type: ignore[call-arg]  # one of two signatures; the stub has the other
        self._world_size, self._memory = world_size, memory

    def alltoall_base(
        self, output: Tensor, input: Tensor, output_sizes: list[int], input_sizes: list[int], options: Any = None
    ) -> Any:
        """See ``torch.distributed.all_to_all_single``; done when it returns."""
        rows = input_sizes or [len(input) // self._world_size] * self._world_size
        width = input[:1].numel() if len(input) else 0
        received = self._memory.deal(input.detach().contiguous().view(-1), [count * width for count in rows])
        output.detach().view(-1).copy_(received)
        done: Future[list[Tensor]] = Future()
        done.set_result([output])
        return torch._C._distributed_c10d._create_work_from_future(done)  # type: ignore[attr-defined]

    def getBackendName(self) -> str:
        """Of this kind of group."""
        return BACKEND


def exchange_group(device: torch.device) -> dist.ProcessGroup:
    """A group of all ranks for look-ups in tables on ``device``. A collective."""
    world = dist.group.WORLD
    assert world is not None
    memory = share_memory() if device.type == "cpu" and dist.get_world_size() > 1 else None
    if memory is None:
        return world
    _register()
    group: dist.ProcessGroup = dist.new_group(backend=BACKEND)
    return group


@cache
def _register() -> None:
    def make(store: Any, rank: int, world_size: int, timeout: Any) -> SharedGroup:
        memory = share_memory()
        assert memory is not None
        return SharedGroup(rank, world_size, memory)

    dist.Backend.register_backend(BACKEND, make, devices=["cpu"])
