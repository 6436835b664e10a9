"""Columns of rows that are collected rank by rank and measured together, as if one process had seen all of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from saccade.pipelines.collective import Collective

Array: TypeAlias = npt.NDArray[Any]


class CollectedRows:
    """Numbers of each row, from all ranks, in the rows' order.

    How rows were dealt to ranks and batches so leaves no trace in what is computed from them, not even in the last bit
    of a sum. Every rank holds all of them at the end: 8 bytes a row and column.
    """

    def __init__(self, collective: Collective, columns: Mapping[str, torch.dtype]) -> None:
        """``columns`` are int64 or float64."""
        self.collective, self.columns = collective, dict(columns)
        self._rows: list[Tensor] = []
        self._updates: dict[str, list[Tensor]] = {name: [] for name in columns}
        self._gathered: tuple[Array, dict[str, Array]] | None = None

    def add(self, rows: Tensor, columns: Mapping[str, Tensor]) -> None:
        """Add a value of each column for each row; not a collective.

        Args:
            rows: [N] int64, the rows' numbers in the source.
            columns: name -> [N], for all columns.
        """
        device = next(iter(columns.values())).device
        self._rows.append(rows.to(device))
        for name, dtype in self.columns.items():
            self._updates[name].append(columns[name].detach().to(device, dtype))
        self._gathered = None

    def gather(self) -> tuple[Array, dict[str, Array]]:
        """The rows' numbers, rising, and name -> their values; those of one row stay in order. A collective."""
        if self._gathered is None:
            rows = self._everyone(self._rows, torch.int64)
            order = np.argsort(rows, kind="stable")
            values = {name: self._everyone(self._updates[name], dtype)[order] for name, dtype in self.columns.items()}
            self._gathered = rows[order], values
        return self._gathered

    def _everyone(self, parts: list[Tensor], dtype: torch.dtype) -> Array:
        mine = torch.cat(parts) if parts else torch.zeros(0, dtype=dtype)
        everyone: Array = self.collective.gather_rows(mine)[0].cpu().numpy()
        return everyone
