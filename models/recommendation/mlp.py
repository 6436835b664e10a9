"""The fully connected layers of click models."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Literal

from torch import Tensor, nn

from saccade.models.dropout import Dropout
from saccade.models.products import Linear
from saccade.models.recommendation.dice import Dice

Activation = Literal["dice", "prelu", "relu"]
ACTIVATIONS: Mapping[str, Callable[[int], nn.Module]] = {
    "dice": Dice,
    "prelu": nn.PReLU,
    "relu": lambda dim: nn.ReLU(),
}


class MLP(nn.Module):
    """Linear, activation and dropout, layer after layer; without layers it gives what it got."""

    def __init__(self, inputs: int, layers: Sequence[int], dropout: float, activation: Activation = "relu") -> None:
        """Make the layers.

        Args:
            inputs: features that come in.
            layers: features after each layer.
            dropout: probability, after each activation.
            activation: of every layer; ``dice`` and ``prelu`` learn a slope a feature.

        Raises:
            ValueError: no such activation.
        """
        super().__init__()
        if activation not in ACTIVATIONS:
            raise ValueError(f"activation={activation!r}: choose one of {', '.join(ACTIVATIONS)}")
        widths = [inputs, *layers]
        self.width = widths[-1]
        self.layers = nn.Sequential(
            *(
                nn.Sequential(Linear(before, after), ACTIVATIONS[activation](after), Dropout(dropout))
                for before, after in pairwise(widths)
            )
        )

    def forward(self, values: Tensor) -> Tensor:
        """[..., inputs] -> [..., width]."""
        out: Tensor = self.layers(values)
        return out


class Logits(nn.Module):
    """Layers, and one linear output for each label."""

    def __init__(
        self, inputs: int, labels: int, layers: Sequence[int], dropout: float, activation: Activation = "relu"
    ) -> None:
        """``labels`` outputs; the other arguments are MLP's."""
        super().__init__()
        self.layers = MLP(inputs, layers, dropout, activation)
        self.outputs = Linear(self.layers.width, labels)

    def forward(self, values: Tensor) -> Tensor:
        """[..., inputs] -> [..., labels]."""
        out: Tensor = self.outputs(self.layers(values))
        return out
