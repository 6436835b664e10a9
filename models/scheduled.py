"""Modules that follow a schedule over the steps of training."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from torch import nn


class Scheduled(Protocol):
    """A module that changes as training goes on."""

    def at_step(self, step: int) -> None:
        """So many optimizer steps were taken."""


def scheduled(network: nn.Module) -> list[Scheduled]:
    """Those modules of a network that have a method ``at_step(step: int)``."""
    return [module for module in network.modules() if hasattr(module, "at_step")]  # type: ignore[misc]


def set_step(modules: Iterable[Scheduled], step: int) -> None:
    """Tell modules how many optimizer steps were taken.

    The number comes from the engine and its checkpoints, so a schedule doesn't depend on the number of workers, or on
    how often a run was stopped and resumed.
    """
    for module in modules:
        module.at_step(step)
