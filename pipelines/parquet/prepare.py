"""What happens to decoded rows before they become tensors."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

import pyarrow as pa


class Preparation(Protocol):
    """Makes columns from columns, batch by batch; may be sent to other processes.

    A row's result depends on that row alone, so that slices, workers and resumed runs all see the same.
    """

    @property
    def reads(self) -> Collection[str]:
        """The columns of the files that it is made from."""

    @property
    def writes(self) -> Collection[str]:
        """The columns that it makes; they take the place of columns of the same name."""

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The batch with its columns in it, row by row the same rows.

        Raises:
            UserError: a column is missing or of a type that it can't take; also for a batch without rows.
        """
