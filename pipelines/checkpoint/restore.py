"""Puts a checkpoint's tables into an engine's, however either is cut."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import torch
from torch import Tensor

from saccade.models.table import Table
from saccade.pipelines.checkpoint.reader import CheckpointReader
from saccade.pipelines.errors import UserError
from saccade.pipelines.shard import TableShard

BLOCK = 1 << 16
"""Rows copied at a time, so that beside a shard there isn't a second one in memory."""


def check_tables(tables: Sequence[Table], checkpoint: CheckpointReader, grow: Collection[str] = ()) -> None:
    """See whether a checkpoint's tables fit a model's; the same answer on every rank, whatever it holds.

    Args:
        tables: the model's.
        checkpoint: where they are to come from.
        grow: tables that may have more rows than they have there.

    Raises:
        UserError: a table is missing there, has another width, more rows, or fewer without being in ``grow``.
    """
    for table in tables:
        rows, dim = checkpoint.table_rows(table.name), checkpoint.table_dim(table.name)
        if dim != table.dim:
            raise UserError(
                f"table {table.name} is {table.dim} wide in the job and {dim} in checkpoint {checkpoint.path}: use the "
                "model.dim that it was trained with"
            )
        _check_rows(table.name, table.rows, rows, checkpoint, table.name in grow)


@torch.no_grad()
def restore(shard: TableShard, checkpoint: CheckpointReader, initial: Callable[[int, int], Tensor]) -> None:
    """Copy a shard's weight and optimizer state from a checkpoint that :func:`check_tables` has found to fit.

    Args:
        shard: changed in place.
        checkpoint: where from.
        initial: gives rows [first, last) of a new table, [last - first, dim]: for those that the checkpoint lacks,
            whose optimizer state becomes zero.

    Raises:
        UserError: the checkpoint lacks the table or an optimizer state.
        DamagedCheckpoint: a file can't be read.
    """
    for first in range(shard.rows[0], max(shard.rows[1], shard.rows[0] + 1), BLOCK):
        _restore(_rows(shard, first, min(first + BLOCK, shard.rows[1])), checkpoint, initial)


def _rows(shard: TableShard, first: int, last: int) -> TableShard:
    """A shard's rows with these ids, live."""
    here = slice(first - shard.rows[0], last - shard.rows[0])
    optimizer = {name: values[here] for name, values in shard.optimizer.items()}
    return TableShard(shard.table, (first, last), shard.columns, shard.weight[here], optimizer)


def _restore(shard: TableShard, checkpoint: CheckpointReader, initial: Callable[[int, int], Tensor]) -> None:
    saved = checkpoint.table_rows(shard.table)
    rows = (min(shard.rows[0], saved), min(shard.rows[1], saved))
    if shard.rows[1] > saved:
        first = max(shard.rows[0], saved)
        shard.weight[first - shard.rows[0] :] = initial(first, shard.rows[1])[:, slice(*shard.columns)]
        for tensor in shard.optimizer.values():
            tensor[first - shard.rows[0] :] = 0
    for state, tensor in {"weight": shard.weight, **shard.optimizer}.items():
        values = checkpoint.table(shard.table, state, rows, shard.columns)
        if values.dim() != tensor.dim():
            kinds = {1: "a value for each row", 2: "a value for each weight"}
            raise UserError(
                f"checkpoint {checkpoint.path} has {kinds[values.dim()]} in the optimizer state {state} of table "
                f"{shard.table}, and the job's optimizer {kinds[tensor.dim()]}: use tables.{shard.table}.optimizer as "
                "it was trained with"
            )
        tensor[: rows[1] - rows[0]].copy_(values)


def _check_rows(name: str, rows: int, saved: int, checkpoint: CheckpointReader, grow: bool) -> None:
    if rows < saved:
        raise UserError(
            f"table {name} has {rows} rows in the job and {saved} in checkpoint {checkpoint.path}: a table can't lose "
            f"rows, set tables.{name}.rows={saved} or more"
        )
    if rows > saved and not grow:
        raise UserError(
            f"table {name} has {rows} rows in the job and {saved} in checkpoint {checkpoint.path}: set "
            f"tables.{name}.grow=true to add {rows - saved} new rows to it"
        )
