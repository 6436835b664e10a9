"""A source's rows as Arrow batches, front to back, for passes that count or copy and need no tensors."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import groupby

import pyarrow as pa
import pyarrow.parquet as pq

from saccade.pipelines.errors import UserError
from saccade.pipelines.parquet.source import Source

ROWS = 8192
"""At most so many rows are in a batch."""


def record_batches(source: Source, columns: Collection[str] = ()) -> Iterator[pa.RecordBatch]:
    """The rows that pass the source's filter, prepared, one file and row group after the other.

    Args:
        source: which rows, and what they are prepared with.
        columns: of the files, besides those that the source reads.

    Raises:
        UserError: a row group is damaged or can't be read, or has values that can't be prepared.
    """
    for number, groups in groupby(source.row_groups, key=lambda group: group.file):
        name, metadata = source.found.names[number], source.footers[number].metadata
        found = metadata.schema.to_arrow_schema()
        wanted = {*source.selection.stored(found), *columns}
        stored = [column for column in found.names if column in wanted]
        shown = source.found.shown(name)
        try:
            with source.found.open(name) as handle:
                file = pq.ParquetFile(handle, metadata=metadata, pre_buffer=False, page_checksum_verification=True)
                for group in groups:
                    shown = f"{source.found.shown(name)}: row group {group.index}"
                    for batch in file.iter_batches(ROWS, [group.index], stored, use_threads=False):
                        yield source.selection.apply(batch)[1]
        except UserError as error:
            raise UserError(f"{shown}: {error}") from None
        except (pa.ArrowException, OSError) as error:
            raise UserError(f"{shown}: can't be read ({str(error).splitlines()[0]})") from error
