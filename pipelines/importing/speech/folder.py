"""Recordings with the label, transcript or speaker in their names, such as ``7_jackson_32.wav``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from saccade.pipelines.errors import UserError
from saccade.pipelines.importing.folder import is_text, list_files, shown
from saccade.pipelines.importing.format import Format, Rows, option
from saccade.pipelines.importing.intake import Intake
from saccade.pipelines.importing.labels import number_labels, with_label_names
from saccade.pipelines.importing.media import Item, Meter, read_items, schema_of
from saccade.pipelines.importing.parts import part_folders
from saccade.pipelines.importing.reject import Reject
from saccade.pipelines.importing.speech.audio import (
    COLUMN_TYPES,
    COLUMNS,
    AudioOptions,
    check_libraries,
    read_audio,
)


class NamePattern:
    """Takes a file's name apart by a pattern such as ``{label}_{speaker}_{index}``.

    A field ends at the character that stands behind it in the pattern, so that there is one way to read a name.
    """

    def __init__(self, pattern: str) -> None:
        """Understand a pattern.

        Raises:
            UserError: it has no field that says anything, one twice, or two with nothing between them.
        """
        pieces = re.split(r"\{(\w+)\}", pattern)
        literals, self.fields = pieces[::2], pieces[1::2]
        problem = (
            "has a { or } that belongs to no field"
            if any(mark in literal for literal in literals for mark in "{}")
            else "names a field twice"
            if len(set(self.fields)) < len(self.fields)
            else "has two fields with nothing between them"
            if not all(literals[1:-1])
            else "has neither {label} nor {transcript}"
            if not {"label", "transcript"} & set(self.fields)
            else ""
        )
        if problem:
            raise UserError(f"--name {pattern!r} {problem}: write it like '{{label}}_{{speaker}}_{{index}}'")
        expression = re.escape(literals[0])
        for field, literal in zip(self.fields, literals[1:], strict=True):
            expression += f"(?P<{field}>[^/{re.escape(literal[:1])}]+){re.escape(literal)}"
        self._depth = pattern.count("/") + 1
        self._expression = re.compile(expression)

    def match(self, name: str) -> dict[str, str]:
        """The fields of a path, without its ending and the folders that the pattern lacks; {} where it doesn't fit."""
        end = "/".join(name.split("/")[-self._depth :])
        match = self._expression.fullmatch(end.rpartition(".")[0])
        return match.groupdict() if match else {}


@dataclass(frozen=True)
class SpeechFolderOptions(AudioOptions):
    """Options of the format."""

    name: str = option(
        "{label}_{speaker}_{index}",
        "What a file's name without its ending is made of: {label}, {transcript}, {speaker}; other fields are left "
        "out. Folders may be part of it: '{label}/{speaker}_{index}'.",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        NamePattern(self.name)


def read(source: Path, options: SpeechFolderOptions, intake: Intake) -> Rows:
    """Rows of all recordings, in an order that mixes what is named alike.

    Without {transcript} in the pattern the transcript is the label's name.
    """
    check_libraries(options)
    pattern, files = NamePattern(options.name), list_files(source)
    parts = part_folders(str(source), files)
    options.check(str(source), parts.values())
    names = []
    for name in sorted(files, key=options.hash):
        if parts and "/" not in name:
            intake(Reject(shown(name), 0, f"lies outside of {', '.join(f'{part}/' for part in parts)}", ""))
        elif not is_text(name):
            intake(Reject(shown(name), 0, "its name isn't UTF-8", ""))
        elif not pattern.match(name):
            intake(Reject(shown(name), 0, f"is not named like {options.name}", ""))
        else:
            names.append(name)
    types: dict[str, pa.DataType] = {**COLUMN_TYPES, "transcript": pa.string()}
    labels: dict[str, int] = {}
    if "label" in pattern.fields:
        labels = number_labels((pattern.match(name)["label"] for name in names), str(source))
        types["label"] = pa.int32()
    if "speaker" in pattern.fields:
        types["speaker"] = pa.string()
    schema = schema_of(**types, file=pa.string())
    if labels:
        schema = with_label_names(schema, labels)

    def items() -> Iterator[Item]:
        for name in names:
            fields = pattern.match(name)
            values: dict[str, Any] = {"transcript": fields.get("label"), **fields}
            if labels:
                values["label"] = labels[fields["label"]]
            kept = {column: value for column, value in values.items() if column in types}
            yield Item(name, files[name], options.split(parts.get(name.split("/")[0]), name), kept)

    meter = Meter(intake, sum(files[name] for name in names))
    yield from read_items(items(), partial(_decode, source, options), schema, intake, meter.add)


def _decode(source: Path, options: AudioOptions, item: Item) -> dict[str, Any]:
    return read_audio(source / item.file, options)


SPEECH_FOLDER = Format(
    help="Recordings with the label or transcript in their names: wav, flac, ogg, mp3.",
    options=SpeechFolderOptions,
    read=read,
    columns=COLUMNS,
    examples=(
        "speech_folder free-spoken-digit-dataset/recordings data/digits --valid 0.1 --test 0.1",
        "speech_folder speech_commands data/commands --name '{label}/{speaker}_nohash_{index}' --rate 8000",
    ),
    job="task: speech_classification\n"
    "data:\n  path: {path}\n  audio: audio\n  label: label\n  sampling_rate: 8000  # the recordings' own, or --rate",
)
