"""Which formulas a fused kernel computes: the softmax of a dot product."""

from __future__ import annotations

from saccade.models.attention.formula import Formula
from saccade.models.attention.normalizers.softmax import Softmax


def fused_scale(formula: Formula, dim: int) -> float | None:
    """What such a kernel multiplies products of ``dim`` features by, or None where the formula is another one."""
    normalizer = formula.normalizer
    if type(normalizer) is not Softmax or normalizer.soft_cap is not None or not formula.score.product:
        return None
    return formula.score.scale(dim) / normalizer.temperature
