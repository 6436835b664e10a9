"""Attention over packed tokens by a kernel that torch compiles for the formula: any mask, any bias.

(``torch.nn.attention.flex_attention``.) Which blocks of queries and keys can meet follows from where the examples lie,
in time linear in the tokens; the compiled kernel leaves the other blocks out. The first batch waits for the compiler.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from saccade.models.attention.backends.grouped import nothing
from saccade.models.attention.coordinates import coordinates
from saccade.models.attention.formula import Formula
from saccade.models.attention.masks.mask import Mask
from saccade.models.attention.normalizers.softmax import Softmax
from saccade.models.jagged import Jagged, Layout

if TYPE_CHECKING:  # with it comes torch's compiler, a second to import: only where it is used
    from torch.nn.attention.flex_attention import BlockMask

BLOCK = 128
"""Tokens on a side of the kernel's blocks."""


NARROWEST = 16
"""Features of a head that the kernel's compiler takes at least."""


class Flex:
    """Softmax of a dot product, capped or not, with any mask and any bias that is computed pair by pair."""

    name = "flex"

    def refuses(self, formula: Formula, query: Jagged, key: Jagged) -> str | None:
        """Anything that isn't a softmax of a dot product, or isn't on CUDA."""
        if query.values.device.type != "cuda":
            return "needs CUDA (torch compiles no gradient for it on a CPU)"
        if not formula.score.product or type(formula.normalizer) is not Softmax:
            return "computes the softmax of a dot product only"
        if query.values.shape[2] < NARROWEST:
            return f"needs heads of at least {NARROWEST} features, not {query.values.shape[2]}"
        if any(parameter.numel() == 0 for bias in formula.biases for parameter in bias.parameters()):
            return "reads the tables of positions inside its kernel, where ZeRO 3 doesn't fetch them"
        return None

    def __call__(self, formula: Formula, query: Jagged, key: Jagged, value: Tensor) -> Tensor:
        """See Backend."""
        return flex(formula, query, key, value, compiled())


@cache
def compiled() -> Callable[..., Any]:
    """The compiled kernel; every batch has another number of tokens, but numbers in a formula are constants of it."""
    from torch.nn.attention.flex_attention import flex_attention

    kernel = torch.compile(flex_attention, dynamic=True)
    # With floats as inputs of the graph, the compiler fails on functions that read one (a temperature, a cap, a unit).
    constant: Callable[..., Any] = torch._dynamo.config.patch(specialize_float=True)(kernel)
    return constant


def flex(formula: Formula, query: Jagged, key: Jagged, value: Tensor, kernel: Callable[..., Any]) -> Tensor:
    """Compute ``formula`` by ``kernel``, flex_attention compiled or (for tests: it holds every pair) not."""
    normalizer = formula.normalizer
    assert isinstance(normalizer, Softmax)
    if query.layout.total == 0 or key.layout.total == 0:
        return nothing(formula, query, key, value)
    rows, columns = query.layout.derive(coordinates), key.layout.derive(coordinates)
    cap, temperature, biases = normalizer.soft_cap, normalizer.temperature, formula.biases

    def change(score: Tensor, _: Tensor, head: Tensor, i: Tensor, j: Tensor) -> Tensor:
        for bias in biases:
            score = score + bias.at(head, rows.at(i), columns.at(j))
        if cap is not None:
            score = cap * torch.tanh(score / cap)
        return score / temperature

    attended = kernel(
        query.values.transpose(0, 1)[None],
        key.values.transpose(0, 1)[None],
        value.transpose(0, 1)[None],
        score_mod=change if biases or cap is not None or temperature != 1.0 else None,
        block_mask=query.layout.derive(block_mask, key.layout, formula.mask),
        scale=formula.score.scale(query.values.shape[2]),
        enable_gqa=query.values.shape[1] != key.values.shape[1],
    )
    result: Tensor = attended[0].transpose(0, 1)
    return result


def block_mask(query: Layout, key: Layout, mask: Mask | None) -> BlockMask:
    """Which blocks of packed tokens can meet, and the mask inside them; use ``query.derive``.

    A block of queries covers a run of examples; the keys of those lie in a run of blocks, so the list of blocks needs
    the examples' ends only, and never a matrix of all tokens.
    """
    from torch.nn.attention.flex_attention import BlockMask

    of_query, of_key = query.example, key.example
    rows, columns = query.derive(coordinates), key.derive(coordinates)

    def may_meet(_: Tensor, __: Tensor, i: Tensor, j: Tensor) -> Tensor:
        together = of_query[i] == of_key[j]
        if mask is None:
            return together
        return together & mask.allows(rows.at(i), columns.at(j))

    key_blocks = -(-key.total // BLOCK)
    example = torch.arange(len(query)).repeat_interleave(query.lengths, output_size=query.total)
    begins = torch.arange(0, query.total, BLOCK)
    first, last = example[begins], example[(begins + BLOCK - 1).clamp(max=query.total - 1)]
    low = key.host_offsets[:-1][first] // BLOCK
    high = -(-key.host_offsets[1:][last] // BLOCK)  # one beyond the last block
    counts = (high - low).clamp(min=0)
    widest = max(int(counts.max()), 1)
    indices = (low[:, None] + torch.arange(widest)).clamp(max=key_blocks - 1)
    if widest < key_blocks:  # the kernel wants room for all blocks
        indices = torch.nn.functional.pad(indices, (0, key_blocks - widest))
    return BlockMask.from_kv_blocks(
        counts.to(query.device, torch.int32)[None, None],
        indices.to(query.device, torch.int32)[None, None],
        BLOCK_SIZE=BLOCK,
        mask_mod=may_meet,
        seq_lengths=(query.total, key.total),
    )
