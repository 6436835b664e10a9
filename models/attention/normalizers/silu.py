"""Pointwise SiLU: weights that keep how strong a match is, and may be negative."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import silu

from saccade.models.attention.normalizers.normalizer import Normalizer
from saccade.models.registry import register


@register("normalizer", "silu")
class SiLU(Normalizer):
    """s · sigmoid(s) / max_length, the weights of HSTU.

    ("Actions Speak Louder than Words: Trillion-Parameter Sequential Transducers for Generative Recommendations", Zhai
    et al. 2024, section 3.1: pointwise aggregated attention.) A row need not sum to 1; the division keeps a sum over
    many keys small.

    Args:
        max_length: the longest example there can be; the configuration's and never the batch's, or what an example gets
            would depend on its batch-mates.
    """

    def __init__(self, max_length: int) -> None:
        super().__init__()
        self.max_length = max_length

    def weigh(self, scores: Tensor) -> Tensor:
        """See Normalizer."""
        return silu(scores) / self.max_length
