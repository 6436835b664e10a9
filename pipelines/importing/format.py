"""What the import knows of a format."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from saccade.pipelines.importing.intake import Intake
from saccade.pipelines.importing.shards import ROW_GROUP_SIZE

Rows = Iterator[tuple[str, pa.RecordBatch]]
"""What a format gives: batches of rows with the name of the split that they belong to."""


@dataclass(frozen=True)
class Format:
    """One layout that files are published in.

    Attributes:
        help: what it is, in one line; the first sentence is what lists show.
        options: a frozen dataclass; each field is made with :func:`option` and becomes an option of the command line.
            Its ``__post_init__`` checks what types don't, and raises UserError.
        read: ``read(source, options, intake)`` gives the rows; it may call ``intake`` with a Reject, and needs no more
            of it than that. It reads in pieces, so that memory doesn't grow with the files.
        columns: column name -> what it means, for the schema file.
        examples: command lines for the help, without ``saccade data import``.
        job: lines of a job file that reads the columns, shown when the import is done; ``{path}`` is the folder.
        row_group_size: rows of a row group: 10,000 histories, but fewer rows that are larger (4 to 64 MiB is good).
    """

    help: str
    options: type
    read: Callable[[Path, Any, Intake], Rows]
    columns: Mapping[str, str]
    examples: tuple[str, ...]
    job: str = ""
    row_group_size: int = ROW_GROUP_SIZE


def option(default: Any, help: str) -> Any:
    """A field of a format's options; its type (bool, int, float, str, a Literal, any of them or None) says the rest."""
    return dataclasses.field(default=default, metadata={"help": help})
