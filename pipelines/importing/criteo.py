"""Criteo's click logs: one row an advertisement that was shown; these don't become histories."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from saccade.pipelines.errors import UserError
from saccade.pipelines.importing.chunk import Faults
from saccade.pipelines.importing.delimited import Dialect
from saccade.pipelines.importing.format import Format, Rows, option
from saccade.pipelines.importing.intake import Intake
from saccade.pipelines.importing.lines import first_line, source_files
from saccade.pipelines.importing.tables import read_table
from saccade.pipelines.importing.values import flags, integers_of, text_of

_INTEGERS = [f"I{number}" for number in range(1, 14)]
_CATEGORIES = [f"C{number}" for number in range(1, 27)]
_LABEL = "label"


@dataclass(frozen=True, kw_only=True)
class CriteoOptions:
    """How rows are kept.

    Attributes:
        nulls, valid, test, seed: see their help.
    """

    nulls: Literal["keep", "fill"] = option("keep", "Keep empty values as null, or fill them: 0 and empty text.")
    valid: float = option(0.0, "Share of the rows, chosen at random, that become the split valid.")
    test: float = option(0.0, "Share of the rows, chosen at random, that become the split test.")
    seed: int = option(0, "Of that choice: the same seed, the same rows.")

    def __post_init__(self) -> None:
        if not (0 <= self.valid < 1 and 0 <= self.test < 1 and self.valid + self.test < 1):
            raise UserError(f"--valid is {self.valid} and --test {self.test}: shares of 1 that leave some for train")


def read_criteo(source: Path, options: CriteoOptions, intake: Intake) -> Rows:
    """Rows from lines of a label, 13 integers and 26 categories; the published test set has no labels."""
    files = source_files(source)
    names = [_LABEL, *_INTEGERS, *_CATEGORIES]
    if first_line(files[0])[1].count("\t") == len(names) - 2:
        names.remove(_LABEL)
    row = 0
    counts = {"clicks": 0} if _LABEL in names else {}
    for chunk in read_table(files, Dialect("\t", False), names, intake, names):
        faults = Faults(chunk)
        columns = {
            name: (_category if name in _CATEGORIES else _integer)(chunk.table[name], name, options, faults)
            for name in names
        }
        faults.tell(intake)
        schema = pa.schema(
            [
                pa.field(name, array.type, nullable=options.nulls == "keep" and name != _LABEL)
                for name, array in columns.items()
            ]
        )
        table = pa.table(columns).filter(pa.array(faults.good))
        rows = pa.record_batch([table[name].combine_chunks() for name in names], schema=schema)
        if counts:
            counts["clicks"] += pc.sum(rows[_LABEL]).as_py() or 0
        chosen = _uniform(row, len(rows), options.seed)
        row += len(rows)
        split_of = {
            "train": chosen >= options.valid + options.test,
            "valid": chosen < options.valid,
            "test": (chosen >= options.valid) & (chosen < options.valid + options.test),
        }
        for split, here in split_of.items():
            if here.any():
                yield split, rows if here.all() else rows.filter(pa.array(here))
    intake.facts.update({"rows_read": row + intake.rejected, "rows": row, **counts})


def _integer(column: pa.ChunkedArray, name: str, options: CriteoOptions, faults: Faults) -> pa.Array:
    values = integers_of(text_of(column, name, faults, required=name == _LABEL), name, faults)
    if name == _LABEL:
        faults.add(~flags(pc.is_in(values, pa.array([0, 1]))), "the label is neither 0 nor 1")
    return pc.fill_null(values, 0) if options.nulls == "fill" else values


def _category(column: pa.ChunkedArray, name: str, options: CriteoOptions, faults: Faults) -> pa.Array:
    values = text_of(column, name, faults, required=False)
    return pc.fill_null(values, "") if options.nulls == "fill" else values


def _uniform(first: int, rows: int, seed: int) -> npt.NDArray[np.float64]:
    """A number in [0, 1) for each row that depends on its number and the seed alone (SplitMix64)."""
    with np.errstate(over="ignore"):
        x = np.arange(first, first + rows, dtype=np.uint64) + np.uint64(seed) * np.uint64(0x9E3779B97F4A7C15)
        x = (x + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        x ^= x >> np.uint64(31)
    return (x >> np.uint64(11)).astype(np.float64) * 2.0**-53


CRITEO = Format(
    "Criteo's click logs: lines of a label, 13 integers and 26 categories, as rows of their own.",
    CriteoOptions,
    read_criteo,
    {
        _LABEL: "1 if the advertisement was clicked, else 0.",
        **dict.fromkeys(_INTEGERS, "A count, whose meaning isn't published."),
        **dict.fromkeys(_CATEGORIES, "A category as a hash."),
    },
    ("criteo train.txt data/criteo --valid 0.1 --test 0.1", "criteo 'day_*.gz' data/criteo --nulls fill"),
)
