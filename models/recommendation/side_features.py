"""What is known of items besides their ids, joined to their vectors before a network sees them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from saccade.models.jagged import Jagged
from saccade.models.products import Linear


class WithSideFeatures(nn.Module):
    """A network over histories whose items come with features.

    ``sum``: item + Σ feature, which costs no parameters but a number's. ``concat``: one projection of all of them side
    by side, which may weigh and mix them ("Non-invasive Self-attention for Side Information Fusion …", Liu et al. 2021,
    compares both). Scoring stays by the item's own vector, so that ranking needs no feature of any item.
    """

    def __init__(
        self,
        network: nn.Module | Callable[[], nn.Module],
        dim: int,
        features: Mapping[str, int | None],
        combine: Literal["sum", "concat"] = "sum",
    ) -> None:
        """Make the maps and the network.

        Args:
            network: embedded items (Jagged [T, D]) -> [T, D], or the call that makes it.
            dim: width of an item's vector.
            features: for each the width of its vectors, or None for a number, which a linear map turns into one.
            combine: how they join the item.

        Raises:
            ValueError: another word, or vectors of another width are to be summed.
        """
        super().__init__()
        if combine not in ("sum", "concat"):
            raise ValueError(f"combine={combine!r}: choose sum or concat")
        wrong = [name for name, width in features.items() if combine == "sum" and width not in (None, dim)]
        if wrong:
            raise ValueError(f"{wrong[0]} has {features[wrong[0]]} features: only vectors of {dim} can be summed")
        self.numbers = nn.ModuleDict({name: Linear(1, dim) for name, width in features.items() if width is None})
        whole = dim + sum(width or dim for width in features.values())
        self.projection = Linear(whole, dim) if combine == "concat" else None
        self.features = list(features)
        self.network = network if isinstance(network, nn.Module) else network()

    def forward(self, items: Jagged, features: Mapping[str, Tensor], *more: Tensor) -> Tensor:
        """What the network makes of items with their features.

        Args:
            items: embedded items [T, D].
            features: by name [T, width] vectors, or [T] numbers.
            more: what the network takes besides.

        Returns:
            [T, D].
        """
        values = [items.values]
        for name in self.features:
            given = features[name]
            values.append(self.numbers[name](given[:, None].to(items.values.dtype)) if name in self.numbers else given)
        joined = sum(values[1:], values[0]) if self.projection is None else self.projection(torch.cat(values, dim=1))
        found: Tensor = self.network(items.with_values(joined), *more)
        return found
