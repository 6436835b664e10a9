"""The few collective operations that training needs, the same for one process and for many.

Sums, maxima and rows on the host go through the memory that ranks of one machine share, where they can; the rest, and
all of it between machines and on GPUs, through torch's process group.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from saccade.pipelines.shared_memory import share_memory


class Collective:
    """All ranks of the default process group, or this process alone where there is none."""

    def __init__(self) -> None:
        self.active = dist.is_available() and dist.is_initialized()
        self.rank = dist.get_rank() if self.active else 0
        self.world_size = dist.get_world_size() if self.active else 1

    def sum(self, tensor: Tensor) -> Tensor:
        """The elementwise sum over all ranks, in place."""
        return self._combine(tensor, dist.ReduceOp.SUM, torch.add)

    def max(self, tensor: Tensor) -> Tensor:
        """The elementwise maximum over all ranks, in place."""
        return self._combine(tensor, dist.ReduceOp.MAX, torch.maximum)

    def _combine(self, tensor: Tensor, reduce: dist.ReduceOp.RedOpType, operation: Callable[..., Tensor]) -> Tensor:
        if self.world_size > 1:
            shared = share_memory() if tensor.device.type == "cpu" else None
            if shared:
                shared.combine(tensor, operation)
            else:
                dist.all_reduce(tensor, op=reduce)
        return tensor

    def _gather(self, tensor: Tensor) -> Sequence[Tensor]:
        """All ranks' tensors, of one shape."""
        shared = share_memory() if tensor.device.type == "cpu" else None
        if shared:
            return shared.gather(tensor).unbind(0)
        parts = [torch.empty_like(tensor) for _ in range(self.world_size)]
        dist.all_gather(parts, tensor)
        return parts

    def gather_rows(self, tensor: Tensor) -> tuple[Tensor, list[int]]:
        """All ranks' [n_r, ...] tensors stacked in rank order, and each rank's n_r; the n_r may differ."""
        if self.world_size == 1:
            return tensor, [tensor.shape[0]]
        counts = torch.zeros(self.world_size, dtype=torch.int64, device=tensor.device)
        counts[self.rank] = tensor.shape[0]
        self.sum(counts)
        sizes = [int(n) for n in counts]
        padded = tensor.new_zeros((max(sizes), *tensor.shape[1:]))
        padded[: tensor.shape[0]] = tensor
        parts = self._gather(padded)
        return torch.cat([part[:n] for part, n in zip(parts, sizes, strict=True)]), sizes

    def gather_objects(self, value: Any) -> list[Any]:
        """One picklable value from every rank, in rank order. For small values."""
        if self.world_size == 1:
            return [value]
        values: list[Any] = [None] * self.world_size
        dist.all_gather_object(values, value)
        return values

    def broadcast_object(self, value: Any) -> Any:
        """Rank 0's picklable value on every rank."""
        if self.world_size == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box)
        return box[0]

    def barrier(self) -> None:
        """Wait for every rank."""
        if self.world_size > 1:
            dist.barrier()
