"""The precision of the network's forward and backward pass; weights and optimizers are float32 throughout."""

from __future__ import annotations

from typing import Literal

import torch

Precision = Literal["fp32", "bf16", "fp16"]

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def autocast(device: torch.device, precision: Precision) -> torch.autocast:
    """A context in which matrix products run in the precision."""
    lower = precision != "fp32"
    return torch.autocast(device.type, dtype=DTYPES[precision] if lower else torch.bfloat16, enabled=lower)
