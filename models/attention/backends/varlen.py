"""Attention over packed tokens by one kernel, FlashAttention's, on CUDA in half precision: nothing is padded."""

from __future__ import annotations

import torch
from torch import Tensor

from saccade.models.attention.backends.fused import fused_scale
from saccade.models.attention.formula import Formula
from saccade.models.attention.masks.causal import Causal
from saccade.models.attention.masks.mask import Both, Mask
from saccade.models.attention.masks.window import Window
from saccade.models.jagged import Jagged, Layout

WIDEST = 256
"""Features of a head that the kernel takes at most."""


class Varlen:
    """Softmax of a dot product, with a causal or window mask or none."""

    name = "varlen"

    def refuses(self, formula: Formula, query: Jagged, key: Jagged) -> str | None:
        """Anything but its kernel's case."""
        if query.values.device.type != "cuda":
            return "needs CUDA"
        if query.values.dtype not in (torch.float16, torch.bfloat16):
            return f"needs float16 or bfloat16, not {str(query.values.dtype).removeprefix('torch.')}"
        if fused_scale(formula, query.values.shape[2]) is None:
            return "computes the softmax of a dot product only, without a cap"
        if formula.biases:
            return "takes no position that adds to the scores"
        if window(formula.mask) is None:
            return f"takes the masks causal and window, not {formula.mask}"
        if formula.mask is not None and (query.layout is not key.layout or query.layout.start is not None):
            return "masks self-attention only"
        if query.values.shape[2] > WIDEST or query.values.shape[2] % 8:
            return f"needs heads of at most {WIDEST} features, a multiple of 8, not {query.values.shape[2]}"
        return None

    def __call__(self, formula: Formula, query: Jagged, key: Jagged, value: Tensor) -> Tensor:
        """See Backend."""
        from torch.nn.attention.varlen import varlen_attn  # with it comes torch's compiler, a second to import

        seen = window(formula.mask)
        assert seen is not None
        attended = varlen_attn(
            query.values.contiguous(),
            key.values.contiguous(),
            value.contiguous(),
            query.layout.derive(_offsets),
            key.layout.derive(_offsets),
            query.layout.max_length,
            key.layout.max_length,
            scale=fused_scale(formula, query.values.shape[2]),
            window_size=seen,
            enable_gqa=query.values.shape[1] != key.values.shape[1],
        )
        assert isinstance(attended, Tensor)
        if query.layout is key.layout or bool(key.layout.lengths.all()):
            return attended
        # The kernel leaves open what a query gets that has nothing to attend to.
        empty = (key.layout.offsets.diff() == 0)[query.layout.example]
        return attended.masked_fill(empty[:, None, None], 0.0)


def window(mask: Mask | None) -> tuple[int, int] | None:
    """(before, after) of what a query sees, -1 for no limit; None where the mask is no window."""
    if mask is None:
        return -1, -1
    if type(mask) is Causal:
        return -1, 0
    if type(mask) is Window:
        return mask.before, mask.after
    if type(mask) is Both:
        first, second = window(mask.first), window(mask.second)
        return None if first is None or second is None else (_least(first[0], second[0]), _least(first[1], second[1]))
    return None


def _least(first: int, second: int) -> int:
    return max(first, second) if min(first, second) == -1 else min(first, second)


def _offsets(layout: Layout) -> Tensor:
    return layout.offsets.to(torch.int32)
