"""Modules that follow a schedule over the steps of training."""

from __future__ import annotations

from torch import nn


def set_step(network: nn.Module, step: int) -> None:
    """Tell every module of ``network`` that has a method ``at_step(step: int)`` how many optimizer steps were taken.

    The number comes from the engine and its checkpoints, so a schedule doesn't depend on the number of workers, or on
    how often a run was stopped and resumed.
    """
    for module in network.modules():
        at_step = getattr(module, "at_step", None)
        if at_step is not None:
            at_step(step)
