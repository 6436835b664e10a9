"""Common Voice: ``train.tsv``, ``dev.tsv``, ``test.tsv`` and the folder ``clips`` of one language."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa

from saccade.pipelines.errors import UserError
from saccade.pipelines.importing.format import Format, Rows
from saccade.pipelines.importing.intake import Intake
from saccade.pipelines.importing.media import Item, read_items, schema_of
from saccade.pipelines.importing.reject import Reject
from saccade.pipelines.importing.speech.audio import (
    COLUMN_TYPES,
    COLUMNS,
    AudioOptions,
    check_libraries,
    read_audio,
)
from saccade.pipelines.importing.text.tables import text_rows

_LISTS = {"train.tsv": "train", "dev.tsv": "valid", "test.tsv": "test"}


def read(source: Path, options: AudioOptions, intake: Intake) -> Rows:
    """Rows of the clips that the lists name, in their order; of ``validated.tsv`` where there are no other lists."""
    check_libraries(options)
    lists = {name: part for name, part in _LISTS.items() if (source / name).is_file()}
    if not lists and (source / "validated.tsv").is_file():
        lists = {"validated.tsv": "train"}
    if not lists:
        raise UserError(
            f"{source}: has none of {', '.join(_LISTS)}, validated.tsv: name the folder of one language (…/en)"
        )
    options.check(str(source), lists.values())
    schema = schema_of(**COLUMN_TYPES, transcript=pa.string(), speaker=pa.string(), file=pa.string())

    def items() -> Iterator[Item]:
        for name, part in lists.items():
            rows = text_rows(source / name, ("path", "sentence", "client_id"), intake, intake)
            for number, (path, sentence, speaker) in rows:
                # Early versions left out the ending.
                clip = path if PurePosixPath(path).suffix else f"{path}.mp3"
                if not sentence.strip() or not path or "/" in path:
                    intake(
                        Reject(
                            name,
                            number,
                            "names no clip" if not path or "/" in path else "has no sentence",
                            f"{path} {sentence}",
                        )
                    )
                    continue
                yield Item(f"clips/{clip}", 0, options.split(part, path), {"transcript": sentence, "speaker": speaker})

    # The lists tell the progress themselves: what the clips' sizes add up to isn't known before.
    yield from read_items(items(), partial(_decode, source, options), schema, intake, lambda size: None)


def _decode(source: Path, options: AudioOptions, item: Item) -> dict[str, Any]:
    return read_audio(source / item.file, options)


COMMON_VOICE = Format(
    help="Common Voice: train.tsv, dev.tsv, test.tsv and clips/ of one language.",
    options=AudioOptions,
    read=read,
    columns=COLUMNS,
    examples=("common_voice cv-corpus-17.0/en data/common_voice --rate 16000",),
)
