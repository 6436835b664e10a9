"""LibriSpeech: ``train-clean-100/SPEAKER/CHAPTER/SPEAKER-CHAPTER-0000.flac`` and a ``.trans.txt`` a chapter."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from saccade.pipelines.errors import UserError
from saccade.pipelines.importing.folder import list_files, shown
from saccade.pipelines.importing.format import Format, Rows
from saccade.pipelines.importing.intake import Intake
from saccade.pipelines.importing.media import Item, Meter, read_items, schema_of
from saccade.pipelines.importing.parts import part_of
from saccade.pipelines.importing.reject import Reject
from saccade.pipelines.importing.speech.audio import (
    COLUMN_TYPES,
    COLUMNS,
    ENDINGS,
    AudioOptions,
    check_libraries,
    read_audio,
)
from saccade.pipelines.importing.text.lines import numbered_lines, problem_of

_TRANSCRIPTS = ".trans.txt"


def read(source: Path, options: AudioOptions, intake: Intake) -> Rows:
    """Rows of all utterances; the folders train-…, dev-… and test-… become the splits."""
    check_libraries(options)
    files = list_files(source)
    chapters = [name for name in files if name.endswith(_TRANSCRIPTS)]
    if not chapters:
        raise UserError(f"{source}: no {_TRANSCRIPTS} file in it: name LibriSpeech's folder, or one of its parts")
    parts = {name.split("/")[0]: part_of(name.split("/")[0]) for name in chapters}
    options.check(str(source), {part for part in parts.values() if part})
    recordings = {name.rpartition(".")[0]: name for name in files if name.lower().endswith(ENDINGS)}
    items = []
    for chapter in chapters:
        folder, part = chapter.rpartition("/")[0], parts[chapter.split("/")[0]]
        for number, line in numbered_lines(source / chapter):
            name, _, transcript = line.partition(" ")
            path = f"{folder}/{name}".lstrip("/")
            problem = problem_of(line) or ("" if transcript.strip() else "has no transcript")
            if not problem and path not in recordings:
                problem = "its recording is missing, or another line has it as well"
            if problem:
                intake(Reject(shown(chapter), number, problem, line))
                continue
            file = recordings.pop(path)
            values = {"transcript": transcript.strip(), "speaker": name.partition("-")[0]}
            items.append(Item(file, files[file], options.split(part, file), values))
    for file in recordings.values():
        intake(Reject(shown(file), 0, "has no line in its chapter's transcripts", ""))
    items.sort(key=lambda item: options.hash(item.file))
    schema = schema_of(**COLUMN_TYPES, transcript=pa.string(), speaker=pa.string(), file=pa.string())
    meter = Meter(intake, sum(item.size for item in items))
    yield from read_items(items, partial(_decode, source, options), schema, intake, meter.add)


def _decode(source: Path, options: AudioOptions, item: Item) -> dict[str, Any]:
    return read_audio(source / item.file, options)


LIBRISPEECH = Format(
    help="LibriSpeech: chapters of flac files with a .trans.txt each.",
    options=AudioOptions,
    read=read,
    columns=COLUMNS,
    examples=("librispeech LibriSpeech data/librispeech", "librispeech LibriSpeech/dev-clean data/dev --test 0.2"),
)
