"""Dice: an activation that rises where its input leaves the usual."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm


class Dice(nn.Module):
    """p · s + (1 - p) · α · s with p = σ(norm(s)) ("Deep Interest Network", Zhou et al. 2018, section 5.3).

    The paper normalises each feature over the mini-batch. Here the features of one row are normalised: with the batch's
    statistics a row's output would depend on its batch-mates, and the weights on how rows are dealt to workers.
    """

    def __init__(self, dim: int, epsilon: float = 1e-8) -> None:
        """``dim`` features; ``epsilon`` is added to the variance."""
        super().__init__()
        self.slope = nn.Parameter(torch.zeros(dim))
        self.epsilon = epsilon

    def forward(self, values: Tensor) -> Tensor:
        """[..., dim] -> [..., dim]."""
        usual = layer_norm(values, values.shape[-1:], eps=self.epsilon).sigmoid()
        return values * (usual + (1 - usual) * self.slope)
