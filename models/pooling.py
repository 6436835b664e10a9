"""From the tokens of each example to one vector."""

from __future__ import annotations

from torch import Tensor, nn

from saccade.models.jagged import Jagged
from saccade.models.segments import segment_softmax, segment_sum


class AttentionPooling(nn.Module):
    """A mean of each example's tokens, weighted by the softmax of a learned score.

    ("A Structured Self-attentive Sentence Embedding", Lin et al. 2017, with one linear hop.) The score has no bias: a
    softmax takes it out again.
    """

    def __init__(self, dim: int) -> None:
        """``dim`` features a token."""
        super().__init__()
        self.score = nn.Linear(dim, 1, bias=False)

    def forward(self, tokens: Jagged) -> Tensor:
        """[T, D] -> [B, D]; zeros for an example without tokens."""
        weights = segment_softmax(self.score(tokens.values).squeeze(1).float(), tokens.layout)
        return segment_sum(weights[:, None] * tokens.values, tokens.layout)
