"""Softmax, with a temperature and a cap on its scores."""

from __future__ import annotations

from torch import Tensor

from saccade.models.attention.normalizers.normalizer import MASKED, Normalizer
from saccade.models.attention.normalizers.temperature import checked
from saccade.models.registry import register


@register("normalizer", "softmax")
class Softmax(Normalizer):
    """exp(s_j / t) / Σ_k exp(s_k / t) ("Attention Is All You Need", Vaswani et al. 2017, section 3.2.1).

    The cap comes first, on scores with their biases: s becomes cap · tanh(s / cap), which no temperature has touched
    ("Gemma 2", Gemma Team 2024, section 2, logit soft-capping).

    Args:
        temperature: t; below 1 the largest weights grow, above 1 weights become alike.
        soft_cap: no score gets beyond this; None for no cap.

    Raises:
        ValueError: an option out of its range.
    """

    def __init__(self, temperature: float = 1.0, soft_cap: float | None = None) -> None:
        super().__init__()
        if soft_cap is not None and not 0 < soft_cap < float("inf"):
            raise ValueError(f"softmax: soft_cap={soft_cap} caps nothing: set a positive number, or null for no cap")
        self.temperature = checked("softmax", "temperature", temperature)
        self.soft_cap = soft_cap

    def weigh(self, scores: Tensor) -> Tensor:
        """See Normalizer."""
        if self.soft_cap is not None:
            masked = scores <= MASKED / 2  # they would come back from far below as -cap
            scores = (self.soft_cap * (scores / self.soft_cap).tanh()).masked_fill(masked, MASKED)
        if self.temperature != 1:
            scores = scores / self.temperature
        return scores.softmax(-1)
