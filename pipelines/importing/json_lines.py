"""JSON lines: one object a line, of which some keys are taken.

pyarrow.json reads a block whose lines all have the types of the file's first line. Any other block, and one with a
fault, is read line by line with Python's json, which says what is wrong with which line.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.json

from saccade.pipelines.errors import UserError
from saccade.pipelines.importing.chunk import Chunk
from saccade.pipelines.importing.format import Format, Rows
from saccade.pipelines.importing.histories import COLUMNS, JOB, histories
from saccade.pipelines.importing.intake import Intake
from saccade.pipelines.importing.interactions import Fields, read_interactions
from saccade.pipelines.importing.lines import Lines, first_line, read_lines, source_files
from saccade.pipelines.importing.reject import Reject, shown
from saccade.pipelines.importing.tables import ColumnOptions

_TYPES = {str: pa.string(), int: pa.int64(), float: pa.float64()}


def read_jsonl(source: Path, options: ColumnOptions, intake: Intake) -> Rows:
    """Histories from JSON lines."""
    chunks = read_objects(source_files(source), options.fields, intake)
    found = read_interactions(chunks, options.fields, options.time_format, intake)
    return histories(found, options, intake, positive=options.positive)


def read_objects(files: list[Path], fields: Fields, intake: Intake) -> Iterator[Chunk]:
    """The fields' keys of the objects in files, one object a line; a key that isn't there is null.

    Raises:
        UserError: a file can't be read, or its first object lacks a key.
    """
    schemas = {str(file): _schema(file, fields) for file in files}
    for file, blocks in groupby(read_lines(files, intake), key=lambda lines: lines.file):
        for lines in blocks:
            yield _parse(lines, schemas[file])


def first_object(file: Path) -> dict[str, Any]:
    """The file's first object.

    Raises:
        UserError: the first line isn't one.
    """
    number, line = first_line(file)
    if line.lstrip().startswith("["):
        raise UserError(f"{file}: is one JSON array: write one object a line (`jq -c '.[]' {file.name}`)")
    found = _load(line.encode()) if line else f"there is no line with a JSON object ({number} lines)"
    if isinstance(found, str):
        raise UserError(f"{file} line {number}: {found}: the first line says which keys there are")
    return found


def _schema(file: Path, fields: Fields) -> pa.Schema:
    found = first_object(file)
    for name in fields.names:
        if name not in found:
            near = get_close_matches(name, found, n=1, cutoff=0.5)
            hint = f": did you mean {near[0]!r}?" if near else ":"
            raise UserError(f"{file}: has no key {name!r}{hint} The first object has {', '.join(map(repr, found))}")
    schema = pa.schema([(name, _TYPES.get(type(found[name]), pa.string())) for name in fields.names])
    for name in (fields.user, fields.item):
        if schema.field(name).type == pa.float64():  # 12.0 is to become 12, which is for Python
            schema = schema.set(schema.get_field_index(name), pa.field(name, pa.string()))
    return schema


def _load(line: bytes) -> dict[str, Any] | str:
    """The object, or what is wrong with the line."""
    try:
        found = json.loads(line)
    except UnicodeDecodeError:
        return "isn't UTF-8"
    except (ValueError, RecursionError) as error:
        return f"isn't JSON ({error})"
    return found if isinstance(found, dict) else "isn't a JSON object"


def _parse(lines: Lines, schema: pa.Schema) -> Chunk:
    full = np.flatnonzero(lines.lengths > 1)
    table = _fast(lines, len(full), schema)
    rejects = lines.rejects
    if table is None:
        table, rejects, full = _slow(lines, full.tolist(), schema.names)
    return Chunk(lines.file, table, lines.numbers[full], rejects, lambda row: shown(lines.line(int(full[row]))))


def _fast(lines: Lines, rows: int, schema: pa.Schema) -> pa.Table | None:
    if not rows:
        return schema.empty_table()
    try:
        table = pyarrow.json.read_json(
            pa.BufferReader(lines.data),
            pyarrow.json.ReadOptions(use_threads=False, block_size=len(lines.data) + 1),
            pyarrow.json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore"),
        )
    except pa.ArrowInvalid:
        return None
    return table if len(table) == rows else None  # lines of several objects, or objects of several lines


def _slow(
    lines: Lines, full: list[int], names: Sequence[str]
) -> tuple[pa.Table, list[Reject], np.typing.NDArray[np.int64]]:
    values: dict[str, list[str | None]] = {name: [] for name in names}
    rejects, rows = list(lines.rejects), []
    for place in full:
        line = lines.line(place)
        found = _load(line)
        texts = found if isinstance(found, str) else _texts(found, names)
        if isinstance(texts, str):
            rejects.append(Reject(lines.file, int(lines.numbers[place]), texts, shown(line)))
            continue
        rows.append(place)
        for name, text in zip(names, texts, strict=True):
            values[name].append(text)
    table = pa.table({name: pa.array(column, pa.string()) for name, column in values.items()})
    return table, rejects, np.array(rows, np.int64)


def _texts(found: dict[str, Any], names: Sequence[str]) -> list[str | None] | str:
    """The keys' values as text, or what is wrong with one."""
    texts: list[str | None] = []
    for name in names:
        value = found.get(name)
        if value is not None and type(value) not in _TYPES:
            return f"{name!r} is neither text nor a number"
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        text = None if value is None else str(value)
        if text is not None and not text.isascii():
            try:
                text.encode()
            except UnicodeEncodeError:
                return f"{name!r} has half a surrogate pair in it"
        texts.append(text)
    return texts


JSONL = Format(
    "Interactions as JSON lines: one object each.",
    ColumnOptions,
    read_jsonl,
    COLUMNS,
    (
        "jsonl events.jsonl data/events --user user_id --item item_id --time timestamp",
        "jsonl 'events-*.jsonl.gz' data/events --user uid --item sku --time when --time-format iso",
    ),
    JOB,
)
