"""Decoded rows as tensors: what Parquet hands to a task, and what a task hands to batching."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from saccade.models.jagged import Jagged, Layout


@dataclass(frozen=True, eq=False)
class Examples:
    """N rows as columns of tensors on the host.

    Attributes:
        rows: [N] int64, each row's number in the whole source (files in sorted order).
        columns: name -> Tensor [N, ...] or Jagged of N examples. A list column is a Jagged; a string or binary column
            is a Jagged of its uint8 bytes.
        lengths: [N] int64, the cost of each row in tokens, by which batching buckets and cuts.
    """

    rows: Tensor
    columns: Mapping[str, Tensor | Jagged]
    lengths: Tensor

    def __len__(self) -> int:
        return self.rows.numel()

    def take(self, index: Tensor) -> Examples:
        """The rows at ``index`` ([M] int64), in that order."""
        columns = {name: c.take(index) if isinstance(c, Jagged) else c[index] for name, c in self.columns.items()}
        return Examples(self.rows[index], columns, self.lengths[index])


def concatenate(parts: Sequence[Examples]) -> Examples:
    """Examples with the same columns, one part's rows after the other's; at least one part."""
    if len(parts) == 1:
        return parts[0]
    columns = {name: join([part.columns[name] for part in parts]) for name in parts[0].columns}
    return Examples(torch.cat([p.rows for p in parts]), columns, torch.cat([p.lengths for p in parts]))


def join(parts: Sequence[Tensor | Jagged]) -> Tensor | Jagged:
    """Rows of one column, one part after the other; at least one part, all of the same kind."""
    if len(parts) == 1:
        return parts[0]
    if isinstance(parts[0], Tensor):
        return torch.cat([part for part in parts if isinstance(part, Tensor)])
    jagged = [part for part in parts if isinstance(part, Jagged)]
    layout = Layout(torch.cat([part.layout.lengths for part in jagged]))
    return Jagged(torch.cat([part.values for part in jagged]), layout)
