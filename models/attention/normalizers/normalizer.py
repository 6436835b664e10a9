"""How a query's scores become weights: the second part of an attention formula."""

from __future__ import annotations

import torch
from torch import Tensor, nn

MASKED = -1e30
"""The score of a pair that isn't allowed, when a normalizer sees it: far below any other, and still finite, so that no
gradient becomes inf * 0."""


class Normalizer(nn.Module):
    """Base of all normalizers: takes care of what is masked, so that ``weigh`` need not.

    A query that may attend to nothing gets weights of zero, and zero gradients.
    """

    def forward(self, scores: Tensor, allowed: Tensor | None = None) -> Tensor:
        """Scores to weights, over the last dimension.

        Args:
            scores: [..., Lk] of any floating dtype; half precision is computed in float32.
            allowed: bool, broadcastable to ``scores``; None where every pair is.

        Returns:
            [..., Lk] in the dtype of ``scores``, zero wherever a pair isn't allowed.
        """
        wide = scores.float() if scores.dtype in (torch.float16, torch.bfloat16) else scores
        if allowed is None:
            return self.weigh(wide).to(scores.dtype)
        weights = self.weigh(wide.masked_fill(~allowed, MASKED))
        return weights.masked_fill(~allowed, 0.0).to(scores.dtype)

    def weigh(self, scores: Tensor) -> Tensor:
        """[..., Lk] -> [..., Lk]; a masked score is ``MASKED``, and what comes out for it is thrown away."""
        raise NotImplementedError
