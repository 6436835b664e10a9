"""HSTU as a recommender: SASRec's outline around blocks without a softmax."""

from __future__ import annotations

from saccade.models.attention.choice import FROM_END, AttentionChoice
from saccade.models.recommendation.sasrec import SASRec
from saccade.models.registry import Choice

HSTU_BLOCK = Choice.of("hstu")


class HSTURecommender(SASRec):
    """The next item by sequential transduction units ("Actions Speak Louder than Words", Zhai et al. 2024).

    Items and learned positions go in as in SASRec; each block adds a bias for how far two items are apart in places
    and, where the block has ``time_buckets`` and the batch's layout times, in time.
    """

    def __init__(
        self,
        dim: int,
        blocks: int,
        heads: int,
        hidden: int,
        dropout: float,
        max_length: int,
        attention: AttentionChoice = FROM_END,
        block: Choice = HSTU_BLOCK,
    ) -> None:
        """See SASRec; ``hidden`` and all of ``attention`` but its positions are for other blocks than HSTU's."""
        super().__init__(dim, blocks, heads, hidden, dropout, max_length, attention, block)
