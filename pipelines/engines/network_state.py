"""A network and its torch optimizer as flat names and full float32 tensors, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from saccade.pipelines.errors import UserError


def network_state(network: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """``weight/NAME`` and ``optimizer/STATE/NAME`` for every parameter; live tensors, not copies."""
    tensors = {}
    for name, parameter in network.named_parameters():
        tensors[f"weight/{name}"] = parameter.detach()
        for key, value in optimizer.state.get(parameter, {}).items():
            tensors[f"optimizer/{key}/{name}"] = torch.as_tensor(value, dtype=torch.float32)
    return tensors


def check_network(network: nn.Module, saved: Mapping[str, Tensor]) -> None:
    """UserError for a parameter that the saved tensors lack."""
    for name, _ in network.named_parameters():
        if f"weight/{name}" not in saved:
            raise UserError(f"the checkpoint has no tensor weight/{name}: it was made by another model than the job's")


@torch.no_grad()
def load_weights(network: nn.Module, saved: Mapping[str, Tensor]) -> None:
    """Take the weights alone.

    Raises:
        UserError: a parameter is missing or has another shape.
    """
    check_network(network, saved)
    for name, parameter in network.named_parameters():
        weight = saved[f"weight/{name}"]
        if weight.shape != parameter.shape:
            shapes = f"{tuple(weight.shape)} in the checkpoint and {tuple(parameter.shape)} in the job's model"
            raise UserError(f"the network's {name} is {shapes}: resume with the model that made it")
        parameter.copy_(weight)


def load_network(network: nn.Module, optimizer: torch.optim.Optimizer, saved: Mapping[str, Tensor]) -> None:
    """Take weights and optimizer state; raises what :func:`load_weights` does."""
    load_weights(network, saved)
    states = list(dict.fromkeys(name.split("/", 2)[1] for name in saved if name.startswith("optimizer/")))
    for name, parameter in network.named_parameters():
        found: dict[str, Any] = {}
        for state in states:
            value = saved[f"optimizer/{state}/{name}"]
            found[state] = value.to(parameter.device, copy=True) if value.dim() else value.clone()
        if found:
            optimizer.state[parameter] = found
