"""Images in a folder a class, such as ``train/cat/1.jpg`` or ``cat/1.jpg``."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from saccade.pipelines.importing.folder import is_text, list_files, shown
from saccade.pipelines.importing.format import Format, Rows
from saccade.pipelines.importing.images.picture import COLUMN_TYPES, COLUMNS, ImageOptions, read_image
from saccade.pipelines.importing.intake import Intake
from saccade.pipelines.importing.labels import number_labels, with_label_names
from saccade.pipelines.importing.media import Item, Meter, need, read_items, schema_of
from saccade.pipelines.importing.parts import part_folders
from saccade.pipelines.importing.reject import Reject


def read(source: Path, options: ImageOptions, intake: Intake) -> Rows:
    """Rows of all images, in an order that mixes the classes. Folders in a class's folder belong to it."""
    need("PIL.Image", "images")
    files = list_files(source)
    parts = part_folders(str(source), files)
    options.check(str(source), parts.values())
    names = []
    for name in sorted(files, key=options.hash):
        if name.count("/") <= bool(parts):
            intake(Reject(shown(name), 0, "lies in no class's folder", ""))
        elif not is_text(name):
            intake(Reject(shown(name), 0, "its name isn't UTF-8", ""))
        else:
            names.append(name)
    labels = number_labels((_class(name, parts) for name in names), str(source))
    schema = with_label_names(schema_of(**COLUMN_TYPES, label=pa.int32(), file=pa.string()), labels)

    def items() -> Iterator[Item]:
        for name in names:
            split = options.split(parts.get(name.split("/")[0]), name)
            yield Item(name, files[name], split, {"label": labels[_class(name, parts)]})

    meter = Meter(intake, sum(files[name] for name in names))
    yield from read_items(items(), partial(_decode, source, options), schema, intake, meter.add)


def _class(name: str, parts: dict[str, str]) -> str:
    return name.split("/")[1 if parts else 0]


def _decode(source: Path, options: ImageOptions, item: Item) -> dict[str, Any]:
    return read_image(source / item.file, options)


IMAGE_FOLDER = Format(
    help="Images in a folder a class: png, jpeg, webp, …",
    options=ImageOptions,
    read=read,
    columns=COLUMNS,
    examples=("image_folder pets data/pets --valid 0.1 --test 0.1", "image_folder imagenette2 data/imagenette"),
)
