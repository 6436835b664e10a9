"""Stored rows that have been read, on their way to tensors.

Reading is Arrow's work alone, and making tensors of what was read is nearly as much: so one thread may do the one while
another does the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import torch

from saccade.pipelines.errors import UserError
from saccade.pipelines.examples import Examples, concatenate
from saccade.pipelines.parquet.decode import NullFound, decode, nothing
from saccade.pipelines.parquet.files import Files
from saccade.pipelines.parquet.footer import Footer
from saccade.pipelines.parquet.row_group import Stored
from saccade.pipelines.parquet.selection import Selection


@dataclass(frozen=True, eq=False)
class Fetched:
    """Stored rows, and what is to be made of them.

    Attributes:
        files: that they are of.
        selection: the filter and the columns that are made.
        footers: one a file.
        parts: the rows.
    """

    files: Files
    selection: Selection
    footers: tuple[Footer, ...]
    parts: Sequence[Stored]

    def examples(self) -> Examples:
        """Those that pass the filter, with their global numbers, every length 1.

        The tensors may be views of what was read: don't write into them.

        Raises:
            UserError: a value is damaged, or a null that the column doesn't take.
        """
        if not self.parts:
            none = torch.empty(0, dtype=torch.int64)
            return Examples(none, nothing(self.selection.columns), none)
        return concatenate([self._decode(part) for part in self.parts])

    def _decode(self, part: Stored) -> Examples:
        group, batch = part.group, part.batch
        first = group.first_row + part.first
        rows = torch.arange(first, first + batch.num_rows)
        shown = self.files.shown(self.files.names[group.file])
        try:
            kept, batch = self.selection.apply(batch)
            if kept is not None:
                rows = rows[torch.from_numpy(kept.to_numpy().astype("int64"))]
            return Examples(rows, decode(batch, self.selection.columns), torch.ones_like(rows))
        except NullFound as error:
            groups = self.footers[group.file].metadata
            before = sum(groups.row_group(i).num_rows for i in range(group.index))
            row = int(rows[error.row]) - group.first_row + before
            raise UserError(f"{shown} row {row}: column {error.column!r} has a null; drop the row or fill it") from None
        except UserError as error:
            raise UserError(f"{shown}: row group {group.index}: {error}") from error
        except (pa.ArrowException, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise UserError(f"{shown}: row group {group.index} can't be read ({reason}): damaged") from error
