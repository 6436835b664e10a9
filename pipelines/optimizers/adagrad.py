"""Adagrad whose state begins with a parameter's first step."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor


class Adagrad(torch.optim.Optimizer):
    """The formula of ``torch.optim.Adagrad`` without its decay of the learning rate.

    ("Adaptive Subgradient Methods for Online Learning and Stochastic Optimization", Duchi et al. 2011.) Torch's makes
    its state when it is built. ZeRO exchanges the parameters after that, and so builds it anew, without its groups.
    """

    def __init__(self, params: Iterable[dict[str, Any]], *, lr: float, eps: float) -> None:
        """``params`` are groups with ``params`` and ``weight_decay``."""
        super().__init__(params, {"lr": lr, "eps": eps, "weight_decay": 0.0})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient; ``closure`` must be None."""
        assert closure is None
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                gradient: Tensor = parameter.grad + group["weight_decay"] * parameter
                state = self.state[parameter]
                if not state:
                    state["sum"] = torch.zeros_like(parameter)
                state["sum"].addcmul_(gradient, gradient)
                parameter.addcdiv_(gradient, state["sum"].sqrt().add_(group["eps"]), value=-group["lr"])
