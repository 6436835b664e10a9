"""A table as several, one for each block of its rows: the table-row-wise cut, which TorchRec lacks for sequences.

TorchRec's row-wise cut uses all ranks. To keep a table's rows on the ranks of one node, each block is a table-wise
table of its own, and every id is looked up in the block that has it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from saccade.models.table import Table


@dataclass(frozen=True)
class RowBlocks:
    """Blocks of equally many rows; the last one may have fewer.

    Attributes:
        whole: the table.
        count: how many blocks are asked for; a table of few rows may fill fewer.
    """

    whole: Table
    count: int

    @property
    def size(self) -> int:
        """Rows of a block."""
        return -(-self.whole.rows // self.count)

    @property
    def blocks(self) -> list[Table]:
        """The tables ``NAME@0``, ``NAME@1``, … with features of their own."""
        return [
            Table(
                f"{self.whole.name}@{number}",
                min(self.size, self.whole.rows - number * self.size),
                self.whole.dim,
                tuple(f"{feature}@{number}" for feature in self.whole.features),
            )
            for number in range(-(-self.whole.rows // self.size))
        ]

    def split(self, feature: str, ids: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """Each block's ids, counted from its first row, and the order [n] in which they lie one after the other."""
        number = ids // self.size
        order = number.argsort(stable=True)
        counts = torch.bincount(number, minlength=len(self.blocks)).tolist()
        parts = ids[order].split(counts)
        return {f"{feature}@{i}": part - i * self.size for i, part in enumerate(parts)}, order

    def join(self, feature: str, found: Mapping[str, Tensor], order: Tensor) -> Tensor:
        """What the blocks gave, [n, dim], in the order of the ids that were split."""
        rows = torch.cat([found[f"{feature}@{i}"] for i in range(len(self.blocks))])
        back = torch.empty_like(order)
        back[order] = torch.arange(len(order), device=order.device)
        return rows[back]
