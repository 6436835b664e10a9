"""LAMB: Adam whose update of each weight matrix is as long as a share of that matrix."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor


class Lamb(torch.optim.Optimizer):
    """The optimizer of "Large Batch Optimization for Deep Learning" (You et al. 2020), algorithm 2.

    With Adam's bias correction. The trust ratio of a parameter is |w| / |update|, and 1 where either is zero. It needs
    whole parameters, which an engine that flattens and cuts them (ZeRO 1 to 3) doesn't have.
    """

    def __init__(self, params: Iterable[dict[str, Any]], *, lr: float, betas: tuple[float, float], eps: float) -> None:
        """``params`` are groups with ``params`` and ``weight_decay``."""
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": 0.0})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient; ``closure`` must be None."""
        assert closure is None
        for group in self.param_groups:
            first, second = group["betas"]
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                gradient: Tensor = parameter.grad
                state = self.state[parameter]
                if not state:
                    state["step"] = torch.tensor(0.0)
                    state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(parameter), torch.zeros_like(parameter)
                state["step"] += 1
                taken = float(state["step"])
                state["exp_avg"].lerp_(gradient, 1 - first)
                state["exp_avg_sq"].mul_(second).addcmul_(gradient, gradient, value=1 - second)
                mean = state["exp_avg"] / (1 - first**taken)
                root = (state["exp_avg_sq"] / (1 - second**taken)).sqrt_()
                update = mean / (root + group["eps"]) + group["weight_decay"] * parameter
                length, step = parameter.norm(), update.norm()
                trust = torch.where((length > 0) & (step > 0), length / step, torch.ones_like(step))
                parameter.sub_(update * (group["lr"] * trust))
