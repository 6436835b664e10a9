"""From a Ray Dataset to Parquet files: preprocessing on the cluster, once; then training from them, in exact order.

The blocks stay on the cluster. The driver sees only how many rows each has, cuts the sequence of blocks into files of
equal numbers of rows, and has each file written by a task. So the files depend on the rows and their order alone: not
on how Ray cut its blocks, which differs from run to run (a sort's do, because it samples).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import ray
from ray.data import Dataset
from ray.data.block import Block, BlockAccessor
from ray.exceptions import RayTaskError

from saccade.pipelines.errors import UserError
from saccade.plugins.ray.plain_table import plain_table
from saccade.plugins.ray.written_folder import WrittenFolder


def write_dataset(
    dataset: Dataset,
    path: str,
    *,
    columns: Sequence[str] | None = None,
    sort: Sequence[str] = (),
    rows_per_file: int = 500_000,
    row_group_size: int = 10_000,
    version: str | None = None,
    overwrite: bool = False,
) -> str:
    """Execute a Ray Dataset and write its rows to ``path/part-00000.parquet``, …, for ``data.path`` of a job.

    The rows are in the dataset's own order, whichever task is ready first; the same rows in the same order give the
    same files. Integers become int64, in lists too; NumPy arrays of one dimension become lists. Files are compressed
    with zstd and have page checksums. Ray must be running, and ``path`` must be seen by all of its nodes.

    Args:
        dataset: whatever Ray Data reads and maps; all rows need the same columns.
        path: a folder, or the address of one (``s3://…``).
        columns: those to write; none writes all.
        sort: columns to sort by first, for a dataset whose own order isn't fixed (after a group-by, a join or a shuffle
            without a seed). Together they should tell any two rows apart.
        rows_per_file: of each file but the last; a task holds so many in memory.
        row_group_size: rows of each row group but a file's last.
        version: what the rows are, in words of your own: a date, a commit. A folder that was written whole with the
            same version and the same options is taken as it is, and the dataset isn't executed.
        overwrite: write anew where an earlier call has written, whole or not.

    Returns:
        ``path``.

    Raises:
        UserError: there is something at ``path`` already; a column is missing or holds something other than numbers,
            text, bytes or lists of them; rows don't agree on a column's type; there are no rows; or ``path`` can't be
            written or isn't seen by all nodes.
    """
    if rows_per_file < 1 or row_group_size < 1:
        raise UserError(f"rows_per_file={rows_per_file}, row_group_size={row_group_size}: both must be 1 or more")
    wanted = None if columns is None else list(columns)
    options = {
        "version": version,
        "columns": wanted,
        "sort": list(sort),
        "rows_per_file": rows_per_file,
        "row_group_size": row_group_size,
    }
    folder = WrittenFolder.at(path)
    if folder.is_written(options, overwrite):
        return path
    with folder.unfinished() as manifest:
        shards = _write(dataset.sort(list(sort)) if sort else dataset, folder, wanted, rows_per_file, row_group_size)
        sizes = {shard.name: shard.bytes for shard in shards}
        if folder.sizes() != sizes:
            raise UserError(
                f"{folder.shown}: files that were written on other nodes aren't seen here: "
                "name a folder on storage that all nodes share"
            )
        manifest |= {**options, "rows": sum(shard.rows for shard in shards), "files": sizes}
    return path


@dataclass(frozen=True)
class _Shard:
    """A file that was written."""

    name: str
    rows: int
    bytes: int
    schema: pa.Schema


@dataclass(frozen=True)
class _Piece:
    """Rows [first, last) of a block."""

    block: Any
    first: int
    last: int


def _write(
    dataset: Dataset, folder: WrittenFolder, columns: list[str] | None, rows_per_file: int, row_group_size: int
) -> list[_Shard]:
    """Execute the dataset and have its files written, a few at a time."""
    # They reserve no CPU: a dataset whose actors hold all of them would wait for ever for its output to be taken.
    write = ray.remote(num_cpus=0, scheduling_strategy="SPREAD")(_write_shard)
    at_once = max(2, int(ray.cluster_resources().get("CPU", 1)) // 4)
    pending: list[Any] = []
    shards: list[_Shard] = []
    try:
        for number, pieces in enumerate(_cut(_in_order(dataset), rows_per_file)):
            if len(pending) == at_once:
                shards.append(_result(pending.pop(0)))
            schema = shards[0].schema if shards else None
            ranges = [(piece.first, piece.last) for piece in pieces]
            blocks = [piece.block for piece in pieces]
            pending.append(write.remote(folder.address, number, columns, schema, row_group_size, ranges, *blocks))
            if number == 0:
                shards.append(_result(pending.pop(0)))  # its schema is that of all others
        while pending:
            shards.append(_result(pending.pop(0)))
    finally:
        if pending:  # after an error: none may write once the folder is cleared
            ray.wait(pending, num_returns=len(pending))
    if not shards:
        raise UserError(f"{folder.shown}: the dataset has no rows, and nothing was written")
    return shards


def _in_order(dataset: Dataset) -> Iterator[_Piece]:
    """The blocks in the dataset's order, and not as they are finished."""
    options = dataset.context.execution_options
    before, options.preserve_order = options.preserve_order, True
    try:
        for bundle in dataset.iter_internal_ref_bundles():
            for entry, part in zip(bundle.blocks, bundle.slices, strict=True):
                first, last = (part.start_offset, part.end_offset) if part else (0, entry.metadata.num_rows)
                yield _Piece(entry.ref, first, last)
    finally:
        options.preserve_order = before


def _cut(pieces: Iterable[_Piece], rows: int) -> Iterator[list[_Piece]]:
    """Runs of pieces with so many rows together; the last may have fewer."""
    run: list[_Piece] = []
    room = rows
    for piece in pieces:
        first = piece.first
        while first < piece.last:
            last = min(piece.last, first + room)
            run.append(_Piece(piece.block, first, last))
            room -= last - first
            first = last
            if room == 0:
                yield run
                run, room = [], rows
    if run:
        yield run


def _write_shard(
    path: str,
    number: int,
    columns: list[str] | None,
    schema: pa.Schema | None,
    row_group_size: int,
    ranges: list[tuple[int, int]],
    *blocks: Block,
) -> _Shard:
    """Write one file; runs as a Ray task, which may be repeated."""
    folder, name = WrittenFolder.at(path), f"part-{number:05}.parquet"
    try:
        tables = [
            plain_table(BlockAccessor.for_block(block).slice(first, last), columns)
            for block, (first, last) in zip(blocks, ranges, strict=True)
        ]
        table = _joined(tables, schema)
    except UserError as error:
        raise UserError(f"{folder.shown}/{name}: {error}") from None
    with folder.filesystem.open_output_stream(folder.file(name)) as file:
        pq.write_table(table, file, compression="zstd", row_group_size=row_group_size, write_page_checksum=True)
    return _Shard(name, table.num_rows, folder.filesystem.get_file_info(folder.file(name)).size, table.schema)


def _joined(tables: list[pa.Table], schema: pa.Schema | None) -> pa.Table:
    """The tables as one, of the given schema or of what they have in common.

    Raises:
        UserError: their columns or types differ.
    """
    names = tables[0].column_names if schema is None else schema.names
    for table in tables:
        if set(table.column_names) != set(names):
            raise UserError(f"rows here have the columns {', '.join(table.column_names)}, others {', '.join(names)}")
    try:
        # Where a block has no element in any list, its lists are of nulls.
        joined = pa.concat_tables([table.select(names) for table in tables], promote_options="permissive")
        return joined if schema is None else joined.cast(schema)
    except (pa.ArrowException, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"rows don't agree on a column's type ({reason}): make it the same in all of them") from None


def _result(task: Any) -> _Shard:
    try:
        shard: _Shard = ray.get(task)
    except RayTaskError as error:
        if isinstance(error.cause, UserError | OSError):
            raise error.cause from None
        raise
    return shard
