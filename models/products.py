"""Products of matrices by whichever library is the faster one here.

A call from Python costs 4 to 10 microseconds more than torch's own, so small products stay with torch.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from saccade.models.openblas import OpenBlas, openblas

LEAST = 1 << 20
"""Multiplications of the smallest product that is worth a call: 20 microseconds by torch on one core."""


def write_product(
    out: Tensor, first: Tensor, second: Tensor, *, scale: float = 1.0, accumulate: bool = False
) -> Tensor:
    """Let out be scale · first second, or add that to it; without a gradient.

    Args:
        out: [M, N], or [B, M, N].
        first: [M, K], or [B, M, K].
        second: [K, N], or [B, K, N].
        scale: a factor.
        accumulate: whether what is in ``out`` stays in the sum.

    Returns:
        ``out``.
    """
    library = _library(first, second, out.numel() * first.shape[-1])
    if library is not None and library.product(out, first, second, scale, float(accumulate)):
        return out
    add = torch.baddbmm if out.dim() == 3 else torch.addmm
    if out.is_contiguous():
        return add(out, first, second, beta=float(accumulate), alpha=scale, out=out)
    # Into a part of a tensor torch would write the products one by one.
    return out.copy_(add(out, first, second, beta=float(accumulate), alpha=scale))


def linear(tokens: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """The layer ``torch.nn.functional.linear``: [..., I] tokens, [O, I] weight and [O] bias -> [..., O]."""
    usual = type(tokens) is Tensor and type(weight) in (Tensor, nn.Parameter) and not torch.compiler.is_compiling()
    fits = tokens.dim() > 1 and tokens.shape[-1] == weight.shape[-1]
    if not (usual and fits) or _library(tokens, weight, tokens.numel() * weight.shape[0]) is None:
        return functional.linear(tokens, weight, bias)
    found: Tensor = _Linear.apply(tokens.flatten(0, -2), weight, bias)  # type: ignore[no-untyped-call]
    return found if tokens.dim() == 2 else found.view(*tokens.shape[:-1], -1)


class Linear(nn.Linear):
    """torch's, by :func:`linear`."""

    def forward(self, input: Tensor) -> Tensor:
        """[..., I] -> [..., O]."""
        return linear(input, self.weight, self.bias)


class Halves(nn.Linear):
    """The first and the second half of a layer's outputs, each in a tensor of its own.

    What comes after them takes half as long as with two views of one tensor.
    """

    def forward(self, input: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        """[..., I] -> twice [..., O / 2]."""
        weights = self.weight.chunk(2)
        biases = (None, None) if self.bias is None else self.bias.chunk(2)
        first, second = (linear(input, weight, bias) for weight, bias in zip(weights, biases, strict=True))
        return first, second


def _library(first: Tensor, second: Tensor, multiplications: int) -> OpenBlas | None:
    if multiplications < LEAST or first.dtype not in (torch.float32, torch.float64) or second.dtype != first.dtype:
        return None
    if first.device.type != "cpu" or second.device.type != "cpu" or torch.is_autocast_enabled("cpu"):
        return None
    if torch.get_num_threads() > 1:
        return None
    return openblas()


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tokens: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(tokens, weight)
        out = tokens.new_empty(len(tokens), len(weight))
        if bias is not None:
            out.copy_(bias)
        return write_product(out, tokens, weight.t(), accumulate=bias is not None)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        tokens, weight = ctx.saved_tensors
        of_tokens = of_weight = of_bias = None
        if ctx.needs_input_grad[0]:
            of_tokens = write_product(torch.empty_like(tokens), gradient, weight)
        if ctx.needs_input_grad[1]:
            of_weight = write_product(torch.empty_like(weight), gradient.t(), tokens)
        if ctx.needs_input_grad[2]:
            of_bias = gradient.sum(0)
        return of_tokens, of_weight, of_bias
