"""A linear map for every head."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class HeadLinear(nn.Module):
    """y_h = x_h W_h + b_h: heads share nothing, so each is an attention of its own, as in a layer with one.

    Args:
        heads: H.
        inputs: features I of x_h.
        outputs: features O of y_h.
        bias: whether to add b_h, which starts at zero.
        standard_deviation: of the initial W_h; None for 1 / √I, which keeps the variance.
    """

    def __init__(
        self, heads: int, inputs: int, outputs: int, *, bias: bool = False, standard_deviation: float | None = None
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(heads, inputs, outputs))
        self.bias = nn.Parameter(torch.zeros(heads, outputs)) if bias else None
        nn.init.normal_(self.weight, std=inputs**-0.5 if standard_deviation is None else standard_deviation)

    def forward(self, values: Tensor) -> Tensor:
        """[..., H, I] -> [..., H, O]."""
        mapped = torch.einsum("...hi,hio->...ho", values, self.weight)
        return mapped if self.bias is None else mapped + self.bias
