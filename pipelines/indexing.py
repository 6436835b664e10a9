"""Numbering a data set's ids once, instead of at each start of each run: vocabularies, and a copy with numbers.

A job's own ``lookup`` does the same while it reads. A copy is worth it where a vocabulary is large: looking 500,000
strings up took 20 ms with 20,000 entries and 600 ms with a million, of which Arrow makes a hash table for each batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from saccade.pipelines.errors import UserError
from saccade.pipelines.importing.shards import ShardWriter, staged
from saccade.pipelines.parquet.batches import record_batches
from saccade.pipelines.parquet.files import splits
from saccade.pipelines.parquet.schema import find_field
from saccade.pipelines.parquet.source import Source
from saccade.pipelines.transforms.arrays import leaves
from saccade.pipelines.vocabulary import Counts, Vocabulary

SHOWN_AFTER = 2.0
"""Seconds after which a progress bar appears."""


def index(
    source: str,
    destination: Path,
    columns: Mapping[str, str],
    *,
    min_count: int = 1,
    extend: Mapping[str, Path] | None = None,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Write vocabularies of a data set's training rows, and a copy of all rows with ids in place of values.

    One pass counts, one copies; what is held in memory are the distinct values and a row group.

    Args:
        source: a data set folder, or a Parquet file, folder, glob or URI, all of which is training rows then.
        destination: a folder that gets ``NAME.parquet`` for each vocabulary, and the folders ``train``, ….
        columns: which to number -> the name of its vocabulary. Columns may share one.
        min_count: rarer values have no id of their own.
        extend: a vocabulary's name -> the file of an earlier one, whose values keep their ids; new ones come after.
        overwrite: replace what ``destination`` holds.

    Returns:
        ``output``, ``rows`` (by split), ``vocabularies`` (name -> values), ``new`` (name -> values that an extended one
        lacked) and ``unknown`` (split -> column -> number).

    Raises:
        UserError: there is no such column, it holds neither strings nor integers, or a folder can't be read or written.
    """
    # Imported late: tqdm takes a moment, and only this needs it.
    from tqdm import tqdm

    before = {name: Vocabulary.load(path) for name, path in (extend or {}).items()}
    for name in before:
        if name not in columns.values():
            raise UserError(f"no column has the vocabulary {name!r}, which is to be extended: name it with --column")
    parts = {name: Source.open(source, name, []) for name in splits(source) or ("train",)}
    if "train" not in parts:
        raise UserError(f"{source}: no train split, whose values are numbered; it has {', '.join(parts)}")
    for part in parts.values():
        for column in columns:
            find_field(column, part.footers[0].metadata.schema.to_arrow_schema(), part.files[0])
    total = parts["train"].rows + sum(part.rows for part in parts.values())
    with staged(destination, overwrite=overwrite) as folder, tqdm(total=total, unit=" rows", delay=SHOWN_AFTER) as bar:
        vocabularies = _count(parts["train"], columns, min_count, bar)
        vocabularies |= {name: old.extended(vocabularies[name]) for name, old in before.items()}
        for name, vocabulary in vocabularies.items():
            vocabulary.save(folder / f"{name}.parquet")
        encode = {column: vocabularies[name] for column, name in columns.items()}
        found = {name: _copy(part, folder / name, encode, bar) for name, part in parts.items()}
    return {
        "output": str(destination),
        "rows": {name: part.rows for name, part in parts.items()},
        "vocabularies": {name: len(vocabulary) for name, vocabulary in vocabularies.items()},
        "new": {name: len(vocabularies[name]) - len(old) for name, old in before.items()},
        "unknown": found,
    }


def _count(source: Source, columns: Mapping[str, str], min_count: int, bar: Any) -> dict[str, Vocabulary]:
    counts = {name: Counts() for name in columns.values()}
    for batch in record_batches(source, columns):
        for column, name in columns.items():
            try:
                counts[name].add(batch.column(column))
            except UserError as error:
                raise UserError(f"{source.files[0]}: column {column!r}: {error}") from None
        bar.update(batch.num_rows)
    return {name: counted.vocabulary(min_count=min_count) for name, counted in counts.items()}


def _copy(source: Source, folder: Path, encode: Mapping[str, Vocabulary], bar: Any) -> dict[str, int]:
    """Write a split's rows with ids, and tell how many values were unknown by column."""
    unknown = dict.fromkeys(encode, 0)
    everything = source.footers[0].metadata.schema.to_arrow_schema()
    with ShardWriter(folder) as writer:
        for batch in record_batches(source, everything.names):
            try:
                batch = batch.cast(everything)
            except (pa.ArrowException, ValueError) as error:
                reason = str(error).splitlines()[0]
                raise UserError(f"{source.files[0]}: other files have other columns ({reason})") from None
            for column, vocabulary in encode.items():
                ids = vocabulary.encode(batch.column(column))
                unknown[column] += pc.sum(pc.equal(leaves(ids)[0], 0)).as_py() or 0
                batch = batch.set_column(batch.schema.get_field_index(column), column, ids)
            writer.write(batch.replace_schema_metadata(everything.metadata))
            bar.update(batch.num_rows)
    return unknown
