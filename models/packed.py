"""Jagged batches as torch's recurrent layers take them: time step by time step, by an index and without padding."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from saccade.models.jagged import Jagged, Layout


@dataclass(frozen=True, eq=False)
class Packing:
    """Where tokens stand when all first tokens come first, then all second ones, the longest examples ahead.

    Attributes:
        index: [T] int64 on the layout's device: token ``index[p]`` of the jagged batch stands at place p.
        back: [T] int64 likewise, the place of each token.
        batch_sizes: [longest length] int64 on the host, how many examples have a token at each step.
    """

    index: Tensor
    back: Tensor
    batch_sizes: Tensor

    def pack(self, tokens: Jagged) -> PackedSequence:
        """The same tokens in torch's order; at least one."""
        return PackedSequence(tokens.values[self.index], self.batch_sizes)

    def unpack(self, packed: PackedSequence) -> Tensor:
        """[T, ...] in the jagged batch's order again."""
        return packed.data[self.back]


def packing(layout: Layout) -> Packing:
    """A layout's; use ``layout.derive(packing)``, so that layers share it."""
    lengths, order = layout.lengths.sort(descending=True, stable=True)
    steps = torch.arange(layout.max_length)
    batch_sizes = (lengths[None] > steps[:, None]).sum(1)
    # Place p is step s of the n-th longest example: s is repeated for each example that gets so far, n counts up in it.
    step = steps.repeat_interleave(batch_sizes, output_size=layout.total)
    first = (batch_sizes.cumsum(0) - batch_sizes)[step]
    index = layout.host_offsets[:-1][order][torch.arange(layout.total) - first] + step
    back = torch.empty_like(index)
    back[index] = torch.arange(layout.total)
    return Packing(index.to(layout.device), back.to(layout.device), batch_sizes)
