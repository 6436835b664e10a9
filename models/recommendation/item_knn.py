"""Item-kNN: items that were met by those who met a history's last ones."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from saccade.models.jagged import Jagged

CELLS = 1 << 24
"""Counts of co-occurrence that are held at a time while neighbours are looked for (64 MiB)."""


class ItemKNN(nn.Module):
    """score(j) = Σ similarity(i, j) over a history's ``last`` items i, an item i counting as often as it is there.

    similarity(i, j) = c_ij / (√(c_i c_j) + shrinkage): of c_i histories with i and c_j with j, c_ij have both; only the
    ``neighbours`` most similar items of each are kept ("Item-based Top-N Recommendation Algorithms", Deshpande and
    Karypis 2004, section 4.2; the shrinkage is from "Scalable Collaborative Filtering with Jointly Derived Neighborhood
    Interpolation Weights", Bell and Koren 2007, section 3.1).

    Fitting takes time as the sum of all histories' squared lengths, and for every item a row of counts; what is kept is
    items · neighbours numbers.
    """

    similar: Tensor
    similarity: Tensor

    def __init__(self, items: int, neighbours: int, shrinkage: float, last: int) -> None:
        """``items`` rows of ids, 0 included, which is no item."""
        super().__init__()
        kept = min(neighbours, items)
        self.shrinkage, self.last = shrinkage, last
        self.register_buffer("similar", torch.zeros(items, kept, dtype=torch.int64))
        self.register_buffer("similarity", torch.zeros(items, kept))

    def fit(self, histories: Jagged) -> None:
        """Find every item's neighbours in B histories of item ids."""
        items, kept = self.similar.shape
        pairs = torch.stack((histories.values, histories.layout.example)).unique(dim=1)
        pairs = pairs[:, pairs[0] > 0]
        shape = (items, len(histories))
        met = torch.sparse_coo_tensor(
            pairs, torch.ones(pairs.shape[1]), shape, is_coalesced=True, check_invariants=True
        )
        counts = torch.bincount(pairs[0], minlength=items).float()
        step = max(1, CELLS // max(items, len(histories), 1))
        for first in range(0, items, step):
            end = min(first + step, items)
            here = (pairs[0] >= first) & (pairs[0] < end)
            who = torch.zeros(len(histories), end - first)
            who[pairs[1, here], pairs[0, here] - first] = 1.0
            together = (met @ who).T  # [end - first, items]
            similarity = together / ((counts[first:end, None] * counts).sqrt() + self.shrinkage).clamp(min=1e-12)
            similarity[torch.arange(end - first), torch.arange(first, end)] = 0.0
            best = similarity.topk(kept, dim=1)
            self.similar[first:end], self.similarity[first:end] = best.indices, best.values

    def forward(self, histories: Jagged) -> Tensor:
        """Item ids of B histories -> [B, items] float32."""
        recent = histories.take(torch.arange(len(histories)), last=self.last)
        items = len(self.similar)
        place = recent.layout.example[:, None] * items + self.similar[recent.values]
        scores = torch.zeros(len(histories) * items)
        scores.index_add_(0, place.view(-1), self.similarity[recent.values].view(-1))
        return scores.view(len(histories), items)
