"""Pairs of texts, such as a sentence and its translation: two files line by line, or csv and tsv."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import pyarrow as pa

from saccade.pipelines.errors import UserError
from saccade.pipelines.importing.folder import list_files
from saccade.pipelines.importing.format import Format, Rows, option
from saccade.pipelines.importing.intake import Intake
from saccade.pipelines.importing.media import Batches, Meter, schema_of
from saccade.pipelines.importing.reject import Reject
from saccade.pipelines.importing.text import tables
from saccade.pipelines.importing.text.lines import numbered_lines, problem_of
from saccade.pipelines.importing.text.sources import TextFile, TextOptions, find_text_files


@dataclass(frozen=True)
class TextPairsOptions(TextOptions):
    """Options of the format."""

    source_side: str = option("source", "The first text's column (csv, tsv), or its files' ending: en for train.en.")
    target_side: str = option("target", "The second text's column, or its files' ending.")
    header: bool = option(True, "Whether the first line names the columns; without it they are named 1, 2, 3, …")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.source_side == self.target_side:
            raise UserError(f"--source-side and --target-side are both {self.source_side!r}, but must differ")


def read(source: Path, options: TextPairsOptions, intake: Intake) -> Rows:
    """Rows in the order of the files; pairs without one of their texts are rejected."""
    if source.is_dir() and any(_is_side(name, options.source_side) for name in list_files(source)):
        files = find_text_files(source, lambda name: _is_side(name, options.source_side), options, intake, "")
        pairs: list[tuple[TextFile, Path | None]] = [(file, _beside(file, options)) for file in files]
    else:
        needed = f"csv or tsv (.csv, .tsv), nor of the endings .{options.source_side} and .{options.target_side}"
        files = find_text_files(source, lambda name: name.lower().endswith(tables.ENDINGS), options, intake, needed)
        pairs = [(file, None) for file in files]
    batches = Batches(schema_of(source=pa.string(), target=pa.string()))
    for file, other in pairs:
        if other is None:
            columns = (options.source_side, options.target_side)
            rows = tables.text_rows(
                file.path, columns, intake, intake, header=options.header, encoding=options.encoding
            )
        else:
            rows = _parallel(file, other, options, intake)
        for number, (first, second) in rows:
            first, second = first.strip(), second.strip()
            if first and second:
                row = {"source": first, "target": second}
                yield from batches.add(options.split(file.part, first), row, len(first) + len(second))
            else:
                reason = "has no target" if first else "has no source"
                intake(Reject(str(file.path), number, reason, first or second))
    yield from batches.rest()


def _is_side(name: str, ending: str) -> bool:
    return name.removesuffix(".gz").endswith(f".{ending}")


def _beside(file: TextFile, options: TextPairsOptions) -> Path:
    """The other file of a pair, packed or not."""
    stem = file.path.name.removesuffix(".gz").removesuffix(options.source_side)
    candidates = [file.path.with_name(f"{stem}{options.target_side}{packed}") for packed in ("", ".gz")]
    for path in candidates:
        if path.is_file():
            return path
    raise UserError(f"{file.path}: no {candidates[0].name} beside it")


def _parallel(
    file: TextFile, other: Path, options: TextPairsOptions, intake: Intake
) -> Iterator[tuple[int, tuple[str, str]]]:
    meter = Meter(intake, file.size)
    first = numbered_lines(file.path, encoding=options.encoding, advance=meter.add)
    second = numbered_lines(other, encoding=options.encoding)
    counts = [0, 0]
    for sides in zip_longest(first, second):
        counts = [count if side is None else side[0] for count, side in zip(counts, sides, strict=True)]
        if sides[0] is None or sides[1] is None:
            continue  # to the end, so that both counts are known
        (number, source), (_, target) = sides
        problem = problem_of(source, target)
        if problem:
            intake(Reject(str(file.path), number, problem, f"{source}\t{target}"))
        else:
            yield number, (source, target)
    if counts[0] != counts[1]:
        raise UserError(
            f"{file.path}: has {counts[0]:,} lines, but {other.name} has {counts[1]:,}: line by line they must be pairs"
        )


TEXT_PAIRS = Format(
    help="Pairs of texts, such as translations: two parallel files, csv or tsv.",
    options=TextPairsOptions,
    read=read,
    columns={"source": "the first text", "target": "the text that goes with it"},
    examples=(
        "text_pairs multi30k data/multi30k --source-side en --target-side de",
        "text_pairs pairs.tsv data/pairs --no-header --source-side 1 --target-side 2 --valid 0.1 --test 0.1",
    ),
)
