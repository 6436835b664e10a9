"""The network that a Transformer block applies to each token by itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional

from saccade.models.dropout import Dropout
from saccade.models.products import Halves, Linear

Activation = Literal["gelu", "relu", "silu"]
ACTIVATIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "gelu": functional.gelu,
    "relu": functional.relu,
    "silu": functional.silu,
}


class FeedForward(nn.Module):
    """down(activation(up(x))), or gated: down(activation(gate(x)) ⊙ up(x)).

    ("Attention Is All You Need", section 3.3; the gate is from "GLU Variants Improve Transformer", Shazeer 2020.)
    """

    def __init__(
        self, dim: int, hidden: int, dropout: float, activation: Activation = "gelu", *, gated: bool = False
    ) -> None:
        """``hidden`` features between; ``dropout`` acts on them. ValueError for an activation that isn't there."""
        super().__init__()
        if activation not in ACTIVATIONS:
            raise ValueError(f"activation={activation!r}: choose one of {', '.join(ACTIVATIONS)}")
        self.activation = ACTIVATIONS[activation]
        self.up = Halves(dim, 2 * hidden) if gated else Linear(dim, hidden)
        self.dropout = Dropout(dropout)
        self.down = Linear(hidden, dim)
        self.gated = gated

    def forward(self, tokens: Tensor) -> Tensor:
        """[T, D] -> [T, D]."""
        if self.gated:
            up, gate = self.up(tokens)
            hidden = self.activation(gate) * up
        else:
            hidden = self.activation(self.up(tokens))
        down: Tensor = self.down(self.dropout(hidden))
        return down
