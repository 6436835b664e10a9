"""The precision of the network's forward and backward pass; weights and optimizers are float32 throughout."""

from __future__ import annotations

from typing import Literal

import torch

Precision = Literal["fp32", "bf16"]


def autocast(device: torch.device, precision: Precision) -> torch.autocast:
    """A context in which matrix products run in the precision."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16")
