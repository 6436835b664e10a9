"""Everything that is wrong with the files of a split."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from saccade.pipelines.errors import UserError
from saccade.pipelines.parquet.files import Files, find_files, public
from saccade.pipelines.parquet.footer import Footer, read_footer
from saccade.pipelines.parquet.validate.fault import Fault
from saccade.pipelines.parquet.validate.file import FileReport, FileValidator
from saccade.pipelines.parquet.validate.need import Need

THREADS = 8
"""Files that are looked at at a time; each takes about 20 MiB."""


@dataclass
class SplitReport:
    """What was found in a split.

    Attributes:
        files: how many there are.
        rows: those that are left by the filter.
        row_groups: those that aren't ruled out by the filter.
        ranges: the smallest and largest value of columns with integers.
        faults: in the order of the files; those of the split as a whole at the end.
    """

    files: int = 0
    rows: int = 0
    row_groups: int = 0
    ranges: dict[str, tuple[int, int]] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    def count(self, kind: str) -> int:
        """How many rows have a fault of a kind."""
        return sum(fault.count for fault in self.faults if fault.kind == kind)


def validate_split(path: str, folder: str, need: Need, *, quick: bool, bar: Any) -> SplitReport:
    """Look at all files of a split, several at a time.

    Args:
        path: the data, as for ``Source.open``.
        folder: which of its split folders.
        need: what they are held to.
        quick: read footers alone.
        bar: a progress bar over row groups; its total grows by the split's.
    """
    report = SplitReport()
    try:
        files = find_files(path, folder)
    except UserError as error:
        report.faults.append(fault_of(need.split, path, "files", error))
        return report
    report.files = len(files.names)
    with ThreadPoolExecutor(max_workers=THREADS) as pool:
        footers = list(pool.map(partial(_footer, files), files.names))
    opened = {name: footer for name, footer in zip(files.names, footers, strict=True) if isinstance(footer, Footer)}
    looked_at = _look(files, opened, need, quick, bar) if opened else {}
    for name, footer in zip(files.names, footers, strict=True):
        if not isinstance(footer, Footer):
            report.faults.append(fault_of(need.split, files.shown(name), "damaged", footer))
            continue
        found = looked_at[name]
        report.rows += found.rows
        report.row_groups += found.row_groups
        report.faults += found.faults
        for column, (low, high) in found.ranges.items():
            before = report.ranges.get(column, (low, high))
            report.ranges[column] = min(before[0], low), max(before[1], high)
    stored = sum(footer.metadata.num_rows for footer in opened.values())
    report.faults += _of_all(public(path), need, report, stored if len(opened) == report.files else None)
    return report


def fault_of(split: str, file: str, kind: str, error: UserError) -> Fault:
    """A user's mistake as a fault of the file or path that its message begins with."""
    shown = public(file)
    return Fault(split, shown, kind, str(error).removeprefix(f"{shown}: "))


def _footer(files: Files, name: str) -> Footer | UserError:
    try:
        return read_footer(files, name)
    except UserError as error:
        return error


def _look(files: Files, opened: dict[str, Footer], need: Need, quick: bool, bar: Any) -> dict[str, FileReport]:
    """Look at the files whose footers could be read."""
    schemas = {name: footer.metadata.schema.to_arrow_schema() for name, footer in opened.items()}
    first_name, first = next(iter(schemas.items()))
    if need.optional is not None and all(need.optional.name in schema.names for schema in schemas.values()):
        selection = replace(need.selection, columns=(*need.selection.columns, need.optional))
        need = replace(need, selection=selection)
    bar.total += sum(footer.metadata.num_row_groups for footer in opened.values())
    bar.refresh()
    lock, stop = threading.Lock(), threading.Event()

    def advance() -> None:
        with lock:
            bar.update()

    def look(name: str) -> FileReport:
        validator = FileValidator(files, name, opened[name], need, first, first_name)
        return validator.look_at_statistics(advance) if quick else validator.decode(advance, stop)

    with ThreadPoolExecutor(max_workers=THREADS) as pool:
        try:
            return dict(zip(opened, pool.map(look, opened), strict=True))
        except BaseException:
            stop.set()
            raise


def _of_all(path: str, need: Need, report: SplitReport, stored: int | None) -> list[Fault]:
    """What is wrong with the split as a whole, which has ``stored`` rows; None where nobody knows."""
    if stored == 0:
        return [Fault(need.split, path, "no rows", "the files hold no rows")]
    if report.rows == 0 and need.selection.filter and all(fault.warning for fault in report.faults):
        conditions = " and ".join(map(str, need.selection.filter))
        return [Fault(need.split, path, "no rows", f"no row passes the filter {conditions}")]
    if 0 < report.row_groups < need.row_groups:
        found = f"{report.row_groups} row groups are read as {need.row_groups} parts at once (train.micro_batches)"
        mend = "rows mix badly, and what lies before a part is decoded in vain: write smaller row groups"
        return [Fault(need.split, path, "row groups", found, mend, warning=True)]
    return []
