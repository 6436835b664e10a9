"""Two towers: histories and items become vectors by networks of their own, which meet in a dot product alone."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize, pad

from saccade.models.jagged import Jagged, last_tokens
from saccade.models.products import Linear
from saccade.models.recommendation.mlp import MLP


class TwoTowers(nn.Module):
    """Means of the latest items through one multilayer perceptron, an item's row through another.

    (Means of watched items: "Deep Neural Networks for YouTube Recommendations", Covington et al. 2016, section 3.2; two
    towers with normalised outputs, which are scored at a temperature: "Sampling-Bias-Corrected Neural Modeling for
    Large Corpus Item Recommendations", Yi et al. 2019.) Nothing of a history looks at an item before the dot product:
    so items can be computed ahead and searched among, and neither tower sees what a pair has in common.

    The item table is not here: items come in embedded, the same rows for both towers.
    """

    def __init__(self, dim: int, windows: Sequence[int], layers: Sequence[int], output: int, dropout: float) -> None:
        """Make both towers alike.

        Args:
            dim: features of an item.
            windows: the history's tower gets the means of so many of the latest items, side by side.
            layers: features after each hidden layer.
            output: features of what is compared.
            dropout: probability, after each hidden layer.
        """
        super().__init__()
        self.scale, self.windows = dim**0.5, list(windows)
        self.user = _Tower(dim * len(self.windows), layers, output, dropout)
        self.item = _Tower(dim, layers, output, dropout)

    def forward(self, items: Jagged, candidates: Tensor | None = None) -> Tensor:
        """Both towers in one call, so that whoever shards or fetches parameters has one call to look after.

        Args:
            items: embedded items [T, D].
            candidates: [C, D] rows of items to compare with; None for none.

        Returns:
            [T + C, output] of norm 1: at each token what is to be compared with the items that may follow it, and
            behind them the candidates.
        """
        means = window_means(items.with_values(items.values * self.scale), self.windows)
        if items.layout.last_only:
            index = last_tokens(items.layout)
            asked = self.user(means[index])
            found = asked.new_zeros(len(means), asked.shape[1]).index_copy(0, index, asked)
        else:
            found = self.user(means)
        return found if candidates is None else torch.cat((found, self.item(candidates * self.scale)))


class _Tower(nn.Module):
    """Hidden layers, a linear one and the division by the norm, which takes float32 or more."""

    def __init__(self, inputs: int, layers: Sequence[int], output: int, dropout: float) -> None:
        super().__init__()
        self.hidden = MLP(inputs, layers, dropout)
        self.output = Linear(self.hidden.width, output)

    def forward(self, values: Tensor) -> Tensor:
        out: Tensor = self.output(self.hidden(values))
        return normalize(out.to(torch.promote_types(out.dtype, torch.float32)), dim=-1)


def window_means(tokens: Jagged, windows: Sequence[int]) -> Tensor:
    """At each token the means of the latest tokens of its example, it included, for several numbers of them.

    Differences of one running sum, so that a long window costs what a short one does. It is kept in float64: what
    batch-mates add to it is gone after rounding.

    Args:
        tokens: [T, D].
        windows: of each the number of tokens, or as many as there are.

    Returns:
        [T, D · windows], side by side.
    """
    layout = tokens.layout
    sums = pad(tokens.values.double().cumsum(0), (0, 0, 1, 0))
    ends = torch.arange(1, layout.total + 1, device=layout.device)
    means = []
    for window in windows:
        counts = (layout.position + 1).clamp(max=window)
        means.append(((sums[ends] - sums[ends - counts]) / counts[:, None]).to(tokens.values.dtype))
    return torch.cat(means, dim=1)
