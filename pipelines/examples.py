"""Decoded rows as tensors: what Parquet hands to a task, and what a task hands to batching."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor

from saccade.models.jagged import Jagged, Layout
from saccade.pipelines.runs import Runs, take

Values = Tensor | Jagged | Runs
"""A column's, of N rows."""


@dataclass(frozen=True, eq=False)
class Examples:
    """N rows as columns of tensors on the host.

    Attributes:
        rows: [N] int64, each row's number in the whole source (files in sorted order).
        columns: name -> Tensor [N, ...], Jagged of N examples, or Runs of N where a task encodes a column so. A list
            column is a Jagged; a string or binary column is a Jagged of its uint8 bytes. Layouts say lengths alone.
        lengths: [N] int64, the cost of each row in tokens, by which batching buckets and cuts.
    """

    rows: Tensor
    columns: Mapping[str, Values]
    lengths: Tensor

    def __len__(self) -> int:
        return self.rows.numel()

    def tensor(self, name: str) -> Tensor:
        """A column of one value a row."""
        column = self.columns[name]
        assert isinstance(column, Tensor)
        return column

    def take(self, index: Tensor) -> Examples:
        """The rows at ``index`` ([M] int64), in that order; copies the values of all columns but Runs."""
        columns = {name: take_rows(column, index) for name, column in self.columns.items()}
        return Examples(self.rows.index_select(0, index), columns, self.lengths.index_select(0, index))

    def split(self, counts: Sequence[int]) -> list[Examples]:
        """The rows in parts of so many, as views."""
        columns = {name: split_rows(column, counts) for name, column in self.columns.items()}
        rows, lengths = self.rows.split(counts), self.lengths.split(counts)
        return [
            Examples(rows[part], {name: parts[part] for name, parts in columns.items()}, lengths[part])
            for part in range(len(counts))
        ]


def concatenate(parts: Sequence[Examples]) -> Examples:
    """Examples with the same columns, one part's rows after the other's; at least one part, and none with Runs."""
    if len(parts) == 1:
        return parts[0]
    columns = {name: join([part.columns[name] for part in parts]) for name in parts[0].columns}
    return Examples(torch.cat([p.rows for p in parts]), columns, torch.cat([p.lengths for p in parts]))


def join(parts: Sequence[Values]) -> Values:
    """Rows of one column, one part after the other; at least one part, all of the same kind."""
    if len(parts) == 1:
        return parts[0]
    if isinstance(parts[0], Tensor):
        return torch.cat([part for part in parts if isinstance(part, Tensor)])
    jagged = [part for part in parts if isinstance(part, Jagged)]
    layout = Layout(torch.cat([part.layout.lengths for part in jagged]))
    return Jagged(torch.cat([part.values for part in jagged]), layout)


def take_rows(column: Values, index: Tensor) -> Values:
    """The rows of a column at an index."""
    if isinstance(column, Tensor):
        return column.index_select(0, index)
    return take(column, index) if isinstance(column, Jagged) else column[index]


def split_rows(column: Values, counts: Sequence[int]) -> Sequence[Values]:
    """The rows of a column in parts of so many, as views."""
    if isinstance(column, Runs):
        starts, lengths = column.starts.split(counts), column.lengths.split(counts)
        return [Runs(column.values, *part) for part in zip(starts, lengths, strict=True)]
    if isinstance(column, Tensor):
        parts: Sequence[Tensor] = column.split(counts)
        return parts
    edges = torch.tensor([0, *accumulate(counts)])
    tokens = column.layout.host_offsets[edges].diff().tolist()
    lengths = column.layout.lengths.split(counts)
    return [Jagged(v, Layout(n)) for v, n in zip(column.values.split(tokens), lengths, strict=True)]
