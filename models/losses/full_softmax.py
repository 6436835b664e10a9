"""Softmax over all rows of a table, from blocks of its scores."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class FullSoftmax:
    """Σ -log softmax(scores / temperature)[target], the target's probability partly spread over all rows.

    The scores of N queries against a whole catalogue don't fit into memory, and on several ranks none of them has all.
    So they come in blocks of rows, are reduced to three numbers a query, and are computed again for the gradient
    ("Megatron-LM: …", Shoeybi et al. 2019, section 3, for a vocabulary that ranks share; "Cut Your Losses in
    Large-Vocabulary Language Models", Wijmans et al. 2024, for the blocks).

    Attributes:
        label_smoothing: the share of the target's probability that is spread over all rows, 0 .. 1 ("Rethinking the
            Inception Architecture for Computer Vision", Szegedy et al. 2016, section 7).
        temperature: the scores are divided by it, > 0.
    """

    label_smoothing: float = 0.0
    temperature: float = 1.0

    def losses(self, normalizer: Tensor, target: Tensor, total: Tensor, rows: int) -> Tensor:
        """[N] losses, with z the scores divided by the temperature.

        Args:
            normalizer: [N] log Σ exp z over all rows.
            target: [N] z of the target.
            total: [N] Σ z over all rows; not looked at without label smoothing.
            rows: how many there are.
        """
        losses = normalizer - (1 - self.label_smoothing) * target
        return losses - self.label_smoothing / rows * total if self.label_smoothing else losses

    def differentiate(self, block: Tensor, normalizer: Tensor, owner: Tensor, place: Tensor, rows: int) -> Tensor:
        """Turn z of a block of rows into the gradient of each query's loss by them, in place.

        Args:
            block: [N, R].
            normalizer: [N] as above.
            owner: [n] int64, the queries whose target is in the block.
            place: [n] int64, which of its rows that is.
            rows: how many there are in all.
        """
        block.sub_(normalizer[:, None]).exp_()
        if self.label_smoothing:
            block.sub_(self.label_smoothing / rows)
        block[owner, place] -= 1 - self.label_smoothing
        return block
