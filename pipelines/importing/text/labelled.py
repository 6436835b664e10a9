"""Texts with a label each: csv and tsv (SST-2), and lines of ``LABEL text`` (TREC)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from saccade.pipelines.errors import UserError
from saccade.pipelines.importing.format import Format, Rows, option
from saccade.pipelines.importing.intake import Intake
from saccade.pipelines.importing.labels import number_labels, with_label_names
from saccade.pipelines.importing.media import Batches, Meter, schema_of
from saccade.pipelines.importing.reject import Reject
from saccade.pipelines.importing.text import tables
from saccade.pipelines.importing.text.lines import numbered_lines, problem_of
from saccade.pipelines.importing.text.sources import TextFile, TextOptions, find_text_files

_ENDINGS = (*tables.ENDINGS, ".txt", ".label", ".txt.gz", ".label.gz")


@dataclass(frozen=True)
class LabelledTextOptions(TextOptions):
    """Options of the format."""

    text: str = option("text", "The text's column (csv, tsv).")
    label: str = option("label", "The label's column (csv, tsv).")
    header: bool = option(True, "Whether the first line names the columns; without it they are named 1, 2, 3, …")
    label_until: str = option("", "Cut labels off at this: ':' makes DESC of DESC:manner.")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.text == self.label:
            raise UserError(f"--text and --label are both {self.text!r}, but must be two columns")


def read(source: Path, options: LabelledTextOptions, intake: Intake) -> Rows:
    """Rows in the order of the files. They are read twice, because labels are numbered by name."""
    needed = "csv, tsv (.csv, .tsv) or lines of 'LABEL text' (.txt, .label), packed (.gz) or not"
    files = find_text_files(source, lambda name: name.lower().endswith(_ENDINGS), options, intake, needed)
    labels = number_labels(
        (label for file in files for _, label, _ in _rows(file, options, intake, lambda reject: None)), str(source)
    )
    batches = Batches(with_label_names(schema_of(text=pa.string(), label=pa.int32()), labels))
    for file in files:
        for number, label, text in _rows(file, options, intake, intake):
            if label not in labels:
                raise UserError(f"{file.path} line {number}: label {label!r} is new: the file changed meanwhile")
            row = {"text": text, "label": labels[label]}
            yield from batches.add(options.split(file.part, text), row, len(text))
    yield from batches.rest()


def _rows(
    file: TextFile, options: LabelledTextOptions, intake: Intake, reject: Callable[[Reject], None]
) -> Iterator[tuple[int, str, str]]:
    """Line number, label and text of all rows."""
    if file.path.name.lower().endswith(tables.ENDINGS):
        columns = (options.label, options.text)
        found = tables.text_rows(file.path, columns, intake, reject, header=options.header, encoding=options.encoding)
    else:
        found = _label_lines(file, options, intake, reject)
    for number, (label, text) in found:
        label, text = label.strip(), text.strip()
        if options.label_until:
            label = label.partition(options.label_until)[0]
        if label and text:
            yield number, label, text
        else:
            reject(Reject(str(file.path), number, "has no text" if label else "has no label", label or text))


def _label_lines(
    file: TextFile, options: LabelledTextOptions, intake: Intake, reject: Callable[[Reject], None]
) -> Iterator[tuple[int, tuple[str, ...]]]:
    meter = Meter(intake, file.size)
    for number, line in numbered_lines(file.path, encoding=options.encoding, advance=meter.add):
        if problem := problem_of(line):
            reject(Reject(str(file.path), number, problem, line))
        elif line.strip():
            label, *text = line.split(None, 1)
            yield number, (label, *(text or [""]))


LABELLED_TEXT = Format(
    help="Labelled texts: csv, tsv, or lines of 'LABEL text'.",
    options=LabelledTextOptions,
    read=read,
    columns={"text": "the text", "label": "number of the class, see label_names"},
    examples=(
        "labelled_text reviews.csv data/reviews --text review --label stars --valid 0.1 --test 0.1",
        "labelled_text SST-2 data/sst2 --text sentence",
        "labelled_text TREC data/trec --label-until : --encoding latin-1",
    ),
    job="task: text_classification\ndata:\n  path: {path}\n  text: text\n  label: label",
)
