"""How a next-item loss draws its negatives and scores them: shared by a micro-batch, or each target's own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from saccade.models.losses.negatives import own_negatives, shared_negatives
from saccade.pipelines.tasks.sampling import Sampler, Uniform

UNIFORM = Uniform()


@dataclass(frozen=True)
class ScoredLoss:
    """A loss over scores, with its way of drawing negatives.

    Attributes:
        count: negatives of a micro-batch (shared) or of a target that are drawn.
        shared: whether a micro-batch's targets have their negatives in common.
        reduce: (positive [N], negative [N, S]) -> scalar sum.
        temperature: scores are divided by it.
        sampler: draws the negatives.
        in_batch: how likely each item is a target; with it every target is also a negative of the others ("mixed
            negatives" where others are drawn besides, Yang et al. 2020). None: targets are no negatives.
        log_q: take the logarithm of how often a negative is to be expected off its score. Then the negatives' summed
            exponentials estimate, without bias, those of all items but the target ("Adaptive Importance Sampling to
            Accelerate Training of a Neural Probabilistic Language Model", Bengio and Senécal 2008, section III; for
            targets as negatives "Sampling-Bias-Corrected Neural Modeling …", Yi et al. 2019). The target's own score
            stays as it is, since it is there with certainty. Needs ``shared``.
    """

    count: int
    shared: bool
    reduce: Callable[[Tensor, Tensor], Tensor]
    temperature: float = 1.0
    sampler: Sampler = UNIFORM
    in_batch: Sampler | None = None
    log_q: bool = False

    def draws(self, targets: int) -> int:
        """How many ids to draw for a micro-batch of so many targets; none for none, so that it touches no row."""
        return self.count * (min(targets, 1) if self.shared else targets)

    def draw(self, targets: int, items: int, generator: torch.Generator) -> Tensor:
        """The ids that are drawn for a micro-batch of so many targets."""
        return self.sampler.draw(self.draws(targets), items, generator)

    def log_expected(self, negative_ids: Tensor, target_ids: Tensor, items: int) -> Tensor | None:
        """[S] float32, the logarithm of how often each negative is to be expected; None without ``log_q``.

        Args:
            negative_ids: [draws] int64, on the host.
            target_ids: [N] int64, likewise.
            items: rows of the item table.
        """
        if not self.log_q:
            return None
        ids = negative_ids if self.in_batch is None else torch.cat((negative_ids, target_ids))
        expected = self.sampler.probability(ids, items) * self.draws(len(target_ids))
        if self.in_batch is not None:
            expected += self.in_batch.probability(ids, items) * len(target_ids)
        return expected.log().float()

    def __call__(
        self,
        hidden: Tensor,
        positives: Tensor,
        negatives: Tensor,
        target_ids: Tensor,
        negative_ids: Tensor,
        log_expected: Tensor | None = None,
    ) -> Tensor:
        """The scalar loss sum; hidden and positives [N, D], negatives [draws, D], ids to match."""
        if self.in_batch is not None:
            negatives, negative_ids = torch.cat((negatives, positives)), torch.cat((negative_ids, target_ids))
        score = shared_negatives if self.shared else own_negatives
        positive = (hidden * positives).sum(-1)
        negative = score(hidden, negatives, target_ids, negative_ids)
        if self.temperature != 1.0:
            positive, negative = positive.float() / self.temperature, negative.float() / self.temperature
        if log_expected is not None:
            negative = negative.float() - log_expected
        return self.reduce(positive, negative)
