"""Texts from csv and tsv files.

In ``.csv`` fields may stand in double quotes, with commas, line ends and doubled quotes inside. In ``.tsv`` a quote is
a character like any other, as in the files that data sets are published in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from saccade.pipelines.importing.delimited import Dialect
from saccade.pipelines.importing.intake import Intake
from saccade.pipelines.importing.reject import Reject
from saccade.pipelines.importing.tables import read_table
from saccade.pipelines.importing.text.lines import Encoding, problem_of

ENDINGS = (".csv", ".tsv", ".csv.gz", ".tsv.gz")


def text_rows(
    path: Path,
    columns: Sequence[str],
    intake: Intake,
    reject: Callable[[Reject], None],
    *,
    header: bool = True,
    encoding: Encoding = "utf-8",
) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Some columns of all rows, with the number of the line each row begins in; blank lines are passed over.

    Args:
        path: the file; its name's ending says whether it is csv or tsv.
        columns: their names.
        intake: is told of the progress.
        reject: takes the rows that are none, or aren't text.
        header: whether the first line names the columns; without it they are called 1, 2, 3, ….
        encoding: of the texts.

    Raises:
        UserError: the file can't be read or lacks a column.
    """
    dialect = Dialect(",", True) if path.name.lower().removesuffix(".gz").endswith(".csv") else Dialect("\t", False)
    for chunk in read_table([path], dialect, columns, intake, header):
        for fault in chunk.rejects:
            reject(fault)
        found = (chunk.table[column].to_pylist() for column in columns)
        for number, *values in zip(chunk.numbers.tolist(), *found, strict=True):
            texts = tuple(value.decode(encoding, "surrogateescape") for value in values)
            if problem := problem_of(*texts):
                reject(Reject(str(path), number, problem, " ".join(texts)))
            else:
                yield number, texts
