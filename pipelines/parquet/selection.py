"""What is read of files: which rows, which of their columns, and which columns are made of them."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from saccade.pipelines.errors import UserError
from saccade.pipelines.parquet import schema
from saccade.pipelines.parquet.filter import Condition, select
from saccade.pipelines.parquet.prepare import Preparation
from saccade.pipelines.parquet.schema import Column


@dataclass(frozen=True)
class Selection:
    """The way from a file's rows to those that are wanted; may be sent to other processes.

    Attributes:
        columns: what is wanted.
        filter: conditions that rows must fulfil, all of them on columns of the files.
        prepare: makes columns from those of the files.
    """

    columns: tuple[Column, ...]
    filter: tuple[Condition, ...] = ()
    prepare: Preparation | None = None

    def stored(self, found: pa.Schema) -> list[str]:
        """The columns to read of a file, in its order."""
        reads, writes = (self.prepare.reads, self.prepare.writes) if self.prepare else ((), ())
        wanted = {column.name for column in self.columns} - set(writes)
        wanted |= {*reads, *(condition.column for condition in self.filter)}
        return [name for name in found.names if name in wanted]

    def made(self, column: str) -> bool:
        """Whether a column is made, and so isn't what the files hold under that name."""
        return self.prepare is not None and column in self.prepare.writes

    def prepared(self, found: pa.Schema) -> pa.Schema:
        """A file's schema with the columns that are made.

        Raises:
            UserError: a column that they are made from is missing or of another type.
        """
        return self.prepare(_empty(found)).schema if self.prepare else found

    def check(self, found: pa.Schema, file: str) -> None:
        """Check that a file has, or gives, every column with a type that fits.

        Raises:
            UserError: it doesn't.
        """
        for name in self.stored(found):
            schema.find_field(name, found, file)  # not there twice, which ``prepare`` wouldn't notice
        for condition in self.filter:
            condition.check(found, file)
        try:
            prepared = self.prepared(found)
        except UserError as error:
            raise UserError(f"{file}: {error}") from None
        schema.check(self.columns, prepared, file)

    def may_hold(self, metadata: pq.FileMetaData, row_group: int) -> bool:
        """Whether any row of a row group may be wanted, as far as statistics tell."""
        return all(condition.may_hold(metadata, row_group) for condition in self.filter)

    def apply(self, batch: pa.RecordBatch) -> tuple[pa.Array | None, pa.RecordBatch]:
        """The wanted rows of stored ones.

        Returns:
            Which rows of ``batch`` they are, None for all of them; and their columns.

        Raises:
            UserError: a column can't be made of these values.
        """
        kept = None
        if self.filter:
            mask = select(self.filter, batch)
            kept = pc.indices_nonzero(mask)
            if len(kept) < batch.num_rows:
                batch = batch.filter(mask)
            else:
                kept = None
        return kept, self.prepare(batch) if self.prepare else batch


def _empty(found: pa.Schema) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.array([], field.type) for field in found], schema=found)
