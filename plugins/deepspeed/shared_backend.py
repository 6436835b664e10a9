"""DeepSpeed's own collectives through the memory that ranks of one machine share."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from deepspeed.comm import comm
from deepspeed.comm.torch import TorchBackend
from torch import Tensor

from saccade.pipelines.shared_memory import share_memory


class SharedBackend(TorchBackend):  # type: ignore[misc]  # deepspeed has no types here
    """What ZeRO asks for at each step over all ranks, sums of gradients and gathered weights, is done in shared memory.

    Everything else (subgroups, other reductions, what goes on beside computing) is the process group's, as before.
    """

    def all_reduce(self, tensor: Tensor, op: Any = dist.ReduceOp.SUM, group: Any = None, async_op: bool = False) -> Any:
        """See ``torch.distributed.all_reduce``."""
        op = self._reduce_op(op)
        shared = None if async_op or op != dist.ReduceOp.SUM or not _everyone(tensor, group) else share_memory()
        if shared is None:
            return super().all_reduce(tensor, op=op, group=group, async_op=async_op)
        shared.combine(tensor, torch.add)
        return None

    def all_gather_into_tensor(
        self, output_tensor: Tensor, input_tensor: Tensor, group: Any = None, async_op: bool = False
    ) -> Any:
        """See ``torch.distributed.all_gather_into_tensor``."""
        shared = None if async_op or not _everyone(input_tensor, group) else share_memory()
        if shared is None:
            return super().all_gather_into_tensor(output_tensor, input_tensor, group=group, async_op=async_op)
        output_tensor.view(-1).copy_(shared.gather(input_tensor.detach().view(-1)).view(-1))
        return None


def use_shared_memory() -> None:
    """Give DeepSpeed this backend in the place of its own, which was made by ``deepspeed.initialize``."""
    if type(comm.cdb) is TorchBackend:
        comm.cdb.__class__ = SharedBackend


def _everyone(tensor: Tensor, group: Any) -> bool:
    """Whether it is a tensor on the host, for all ranks of the default group."""
    return tensor.device.type == "cpu" and 1 < dist.get_world_size() == dist.get_world_size(group)
