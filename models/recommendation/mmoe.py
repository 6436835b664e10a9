"""MMoE: several labels from shared experts, each mixing them in its own way."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from saccade.models.recommendation.mlp import MLP, Activation


class MMoE(nn.Module):
    """y_k = h_k(Σ_i g_k(x)_i · f_i(x)) with g_k = softmax(W_k x).

    ("Modeling Task Relationships in Multi-task Learning with Multi-gate Mixture-of-Experts", Ma et al. 2018, equations
    6 and 7.) Towers h are linear; a softmax gate needs no bias to start even, and has none.
    """

    def __init__(
        self, inputs: int, labels: int, experts: int, layers: Sequence[int], dropout: float, activation: Activation
    ) -> None:
        """Make experts, gates and towers.

        Args:
            inputs: features that come in.
            labels: outputs.
            experts: shared networks.
            layers: widths of an expert's layers.
            dropout: probability, in the experts.
            activation: likewise.
        """
        super().__init__()
        self.experts = nn.ModuleList(MLP(inputs, layers, dropout, activation) for _ in range(experts))
        width = layers[-1] if layers else inputs
        self.gates = nn.ModuleList(nn.Linear(inputs, experts, bias=False) for _ in range(labels))
        self.towers = nn.ModuleList(nn.Linear(width, 1) for _ in range(labels))

    def forward(self, values: Tensor) -> Tensor:
        """[B, inputs] -> [B, labels] logits."""
        opinions = torch.stack([expert(values) for expert in self.experts], 1)
        mixed = [(gate(values).softmax(1)[:, :, None] * opinions).sum(1) for gate in self.gates]
        return torch.cat([tower(one) for tower, one in zip(self.towers, mixed, strict=True)], 1)
