"""How a next-item loss draws its negatives and scores them: shared by a micro-batch, or each target's own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from saccade.models.losses.negatives import own_negatives, shared_negatives


@dataclass(frozen=True)
class ScoredLoss:
    """A loss over scores, with its way of drawing negatives.

    Attributes:
        count: negatives of a micro-batch (shared) or of a target.
        shared: whether a micro-batch's targets have their negatives in common.
        reduce: (positive [N], negative [N, S]) -> scalar sum.
    """

    count: int
    shared: bool
    reduce: Callable[[Tensor, Tensor], Tensor]

    def draws(self, targets: int) -> int:
        """How many ids to draw for a micro-batch of so many targets; none for none, so that it touches no row."""
        return self.count * (min(targets, 1) if self.shared else targets)

    def __call__(
        self, hidden: Tensor, positives: Tensor, negatives: Tensor, target_ids: Tensor, negative_ids: Tensor
    ) -> Tensor:
        """The scalar loss sum; hidden and positives [N, D], negatives [draws, D], ids to match."""
        score = shared_negatives if self.shared else own_negatives
        positive = (hidden * positives).sum(-1)
        return self.reduce(positive, score(hidden, negatives, target_ids, negative_ids))
