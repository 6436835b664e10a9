"""Full fp32 tensors out of ZeRO's partitions and back into them, at any stage and number of ranks.

DeepSpeed's ``safe_*`` functions do the gathering; four of their gaps are closed here. Stages 1 and 2 link optimizer
state when the first parameter group has stepped, and so miss that of the others. No stage has optimizer state before
its first step, so there is nothing to load into. Stage 3 can't set a parameter whose elements don't divide by the
number of ranks; and once it has run it keeps small parameters whole, beside their partitions: setting those alone would
leave the old weights in use until the next step.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from deepspeed.runtime.zero.partition_parameters import ZeroParamStatus
from deepspeed.utils import (
    lazy_init_hp_params_optimizer_state,
    safe_get_full_fp32_param,
    safe_get_full_optimizer_state,
    safe_set_full_fp32_param,
    safe_set_full_optimizer_state,
    safe_set_local_fp32_param,
    safe_set_local_optimizer_state,
)
from torch import Tensor, nn


def partitions(zero: Any) -> list[Tensor]:
    """This rank's flat fp32 partitions, by which the optimizer's state is keyed."""
    partitions = getattr(zero, "single_partition_of_fp32_groups", None) or zero.fp32_partitioned_groups_flat
    return list(partitions)


def _link(zero: Any) -> None:
    if hasattr(zero, "single_partition_of_fp32_groups"):
        for parameters, partition in zip(zero.bit16_groups, zero.single_partition_of_fp32_groups, strict=True):
            lazy_init_hp_params_optimizer_state(parameters, partition, zero.optimizer.state)


def gather(network: nn.Module, zero: Any, rank: int, world_size: int) -> dict[str, Tensor]:
    """This rank's share of ``weight/NAME`` and ``optimizer/STATE/NAME``; a collective.

    Parameters are dealt to the ranks in turn; a rank keeps its own and drops the others' as they come.
    """
    _link(zero)
    states = zero.optimizer.state[partitions(zero)[0]]
    keys = [key for key, value in states.items() if isinstance(value, Tensor) and value.dim()]
    share: dict[str, Tensor] = {}
    for index, (name, parameter) in enumerate(network.named_parameters()):
        tensors = {f"weight/{name}": safe_get_full_fp32_param(parameter)}
        tensors |= {f"optimizer/{key}/{name}": safe_get_full_optimizer_state(parameter, key) for key in keys}
        if "step" in states:
            tensors[f"optimizer/step/{name}"] = torch.as_tensor(states["step"], dtype=torch.float32)
        if index % world_size == rank:
            share |= tensors
    return share


@torch.no_grad()
def scatter(network: nn.Module, zero: Any, saved: Mapping[str, Tensor], rank: int) -> None:
    """Put full tensors into the partitions; every rank reads all of ``saved`` and keeps its part."""
    keys = list(dict.fromkeys(name.split("/", 2)[1] for name in saved if name.startswith("optimizer/")))
    steps = next((saved[name] for name in saved if name.startswith("optimizer/step/")), None)
    for partition in partitions(zero):
        state = {key: torch.zeros_like(partition) for key in keys if key != "step"}
        zero.optimizer.state[partition].update(state)
        if steps is not None:
            zero.optimizer.state[partition]["step"] = steps.detach().clone()
    _link(zero)
    for name, parameter in network.named_parameters():
        states = {key: saved[f"optimizer/{key}/{name}"] for key in keys if key != "step"}
        if hasattr(parameter, "ds_tensor"):
            local = _own_part(saved[f"weight/{name}"], parameter, rank)
            parameter.ds_tensor.data.copy_(local)
            whole: Any = parameter  # DeepSpeed keeps small ones so, beside their partitions
            if whole.ds_status == ZeroParamStatus.AVAILABLE:
                parameter.data.copy_(saved[f"weight/{name}"])
            safe_set_local_fp32_param(parameter, local)
            for key, value in states.items():
                safe_set_local_optimizer_state(parameter, _own_part(value, parameter, rank), key)
        else:
            value = saved[f"weight/{name}"].to(parameter.device)
            parameter.copy_(value)
            safe_set_full_fp32_param(parameter, value)
            for key, value in states.items():
                safe_set_full_optimizer_state(parameter, value.to(parameter.device), key)


def _own_part(value: Tensor, parameter: Any, rank: int) -> Tensor:
    """The rank's slice of a full tensor, padded with zeros where the parameter's elements don't divide."""
    size = parameter.ds_tensor.numel()
    part = torch.zeros(size, device=parameter.ds_tensor.device)
    own = value.flatten()[rank * size : (rank + 1) * size]
    part[: own.numel()] = own
    return part
