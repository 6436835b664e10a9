"""Answers for rows, computed in any order, as Arrow columns in the rows' order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

Answers = tuple[Tensor, Mapping[str, Tensor]]
"""The numbers of N rows, and columns of [N] or, where there are several answers a row, [N, K]; ``scores`` among the
latter are minus infinity where there is no answer."""


def answer_columns(found: Sequence[Answers], names: Callable[[pa.Array], pa.Array]) -> dict[str, pa.Array]:
    """The columns of all rows for which there are answers, the rows in order.

    Args:
        found: at least one part; those of several have the same columns.
        names: turns the values of the column ``items``, where there is one, into what they stand for.
    """
    order = torch.cat([rows for rows, _ in found]).argsort()
    return {name: _column(name, found, order, names) for name in found[0][1]}


def list_columns(found: Sequence[Answers], rows: int, names: Callable[[pa.Array], pa.Array]) -> dict[str, pa.Array]:
    """``items`` and ``scores`` of rows 0 .. rows - 1, with empty lists where there is no answer."""
    if not found:
        nothing = torch.zeros(0, 1, dtype=torch.int64)
        found = [(nothing[:, 0], {"items": nothing, "scores": nothing.float()})]
    numbers = torch.cat([rows for rows, _ in found]).sort().values
    answered = np.zeros(rows, np.int64)
    columns = answer_columns(found, names)
    answered[numbers.numpy()] = np.asarray(columns["items"].value_lengths())
    offsets = pa.array(np.concatenate([[0], answered.cumsum()]).astype(np.int32))
    return {name: pa.ListArray.from_arrays(offsets, column.flatten()) for name, column in columns.items()}


def _column(name: str, found: Sequence[Answers], order: Tensor, names: Callable[[pa.Array], pa.Array]) -> pa.Array:
    parts = [answers[name] for _, answers in found]
    if parts[0].dim() == 1:
        values = pa.array(torch.cat(parts)[order].numpy())
        return names(values) if name == "items" else values
    values = torch.cat(parts)[order]
    possible = torch.ones_like(values, dtype=torch.bool)
    if "scores" in found[0][1]:  # a row that has seen nearly all items has fewer than k left
        possible = torch.cat([answers["scores"] for _, answers in found])[order] > float("-inf")
    offsets = pa.array(torch.nn.functional.pad(possible.sum(1).cumsum(0), (1, 0)).int().numpy())
    flat = pa.array(values[possible].numpy())
    return pa.ListArray.from_arrays(offsets, names(flat) if name == "items" else flat)
