"""COCO: a JSON file a split with all images, objects and classes.

The JSON of COCO's training split has 450 MB. It is read with ijson, one object after the other, in three passes; what
is kept is 48 bytes a box. For 66 MB (150,000 boxes with outlines) that is 5 s and 40 MiB; Python's own reader, which
makes objects of all of it at once, takes 350 MiB.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from saccade.pipelines.errors import UserError
from saccade.pipelines.importing.folder import list_files, shown
from saccade.pipelines.importing.format import Format, Rows
from saccade.pipelines.importing.images.boxes import COLUMNS, box_schema, check_boxes
from saccade.pipelines.importing.images.picture import ImageOptions, read_image
from saccade.pipelines.importing.intake import Intake
from saccade.pipelines.importing.labels import number_labels
from saccade.pipelines.importing.media import Item, Meter, message_of, need, read_items
from saccade.pipelines.importing.parts import part_of
from saccade.pipelines.importing.reject import Reject

_DEEPEST = 64  # COCO has 5; brackets inside of strings count, too
_KNOWN = ("instances_", "_annotations.coco")


@dataclass
class _Objects:
    """The objects of a JSON file: boxes by image, as numbers and not as Python objects."""

    images: array[int] = field(default_factory=lambda: array("q"))
    classes: array[int] = field(default_factory=lambda: array("q"))
    boxes: array[float] = field(default_factory=lambda: array("d"))
    faults: dict[int, str] = field(default_factory=dict)
    crowds: int = 0

    def sort(self) -> None:
        """Put each image's objects beside each other, in the file's order."""
        order = np.argsort(np.asarray(self.images), kind="stable")
        self._images = np.asarray(self.images)[order]
        self._classes = np.asarray(self.classes)[order]
        self._boxes = np.asarray(self.boxes).reshape(-1, 4)[order]

    def of(self, image: int) -> tuple[list[list[float]], list[int]]:
        """Boxes and classes of one image."""
        first, last = np.searchsorted(self._images, [image, image + 1])
        return self._boxes[first:last].tolist(), self._classes[first:last].tolist()

    def without(self, images: set[int]) -> list[int]:
        """The images that objects are of, but that aren't among these."""
        return sorted(({*self.images} | self.faults.keys()) - images)


def read(source: Path, options: ImageOptions, intake: Intake) -> Rows:
    """Rows of all images that the JSON files list, in their order.

    Crowds (``iscrowd``: a region, not an object) are left out and counted.
    """
    need("PIL.Image", "images")
    need("ijson", "images")
    files = list_files(source)
    found = [name for name in files if name.lower().endswith(".json")]
    found = [name for name in found if PurePosixPath(name).name.startswith(_KNOWN)] or found
    if not found:
        raise UserError(f"{source}: holds no JSON file: name COCO's folder (annotations/instances_train2017.json)")
    parts = {name: _part(name) for name in found}
    options.check(str(source), {part for part in parts.values() if part})
    for name in found:
        _check_depth(source / name)
    categories = {name: _categories(source / name) for name in found}
    labels = number_labels((label for names in categories.values() for label in names.values()), str(source))

    def items() -> Iterator[Item]:
        for name in found:
            classes = {number: labels[label] for number, label in categories[name].items()}
            yield from _items(source, name, parts[name], classes, files, options, intake)

    meter = Meter(intake, sum(size for name, size in files.items() if not name.endswith(".json")))
    yield from read_items(items(), partial(_decode, source, options), box_schema(labels), intake, meter.add)


def _part(name: str) -> str | None:
    path = PurePosixPath(name)
    return part_of(path.stem.removeprefix("instances_")) or part_of(path.parts[0])


def _categories(path: Path) -> dict[int, str]:
    found: dict[int, str] = {}
    for entry in _entries(path, "categories"):
        match entry:
            case {"id": int(number), "name": str(name)} if name.strip() and number not in found:
                found[number] = name.strip()
            case _:
                raise UserError(f"{path}: category {str(entry)[:80]} has no name or no id of its own")
    return found


def _objects(path: Path, classes: dict[int, int], intake: Intake, shown_name: str) -> _Objects:
    found = _Objects()
    for entry in _entries(path, "annotations"):
        match entry:
            case {"image_id": int(image), "iscrowd": 1}:
                found.crowds += 1
            case {"image_id": int(image), "category_id": int(kind), "bbox": [*box]} if len(box) == 4 and all(
                isinstance(number, int | float) and abs(number) < 1e9 for number in box
            ):
                if not abs(image) < 2**62:
                    intake(Reject(shown_name, 0, "an object's image_id is no id", str(entry)))
                elif kind in classes:
                    left, top, width, height = map(float, box)
                    found.images.append(image)
                    found.classes.append(classes[kind])
                    found.boxes.extend((left, top, left + width, top + height))
                else:
                    found.faults[image] = f"has an object of category {kind}, which isn't listed"
            case {"image_id": int(image)}:
                found.faults[image] = f"has an object without a category or a box: {str(entry)[:80]}"
            case _:
                intake(Reject(shown_name, 0, "an object has no image_id", str(entry)))
    found.sort()
    return found


def _items(
    source: Path,
    name: str,
    part: str | None,
    classes: dict[int, int],
    files: dict[str, int],
    options: ImageOptions,
    intake: Intake,
) -> Iterator[Item]:
    objects, seen = _objects(source / name, classes, intake, shown(name)), set[int]()
    intake.facts["crowds left out"] = intake.facts.get("crowds left out", 0) + objects.crowds
    for entry in _entries(source / name, "images"):
        match entry:
            case {"id": int(number), "file_name": str(file)} if number not in seen and abs(number) < 2**62:
                seen.add(number)
            case _:
                intake(Reject(shown(name), 0, "an image has no file_name or no id of its own", str(entry)))
                continue
        image = _image(name, file, files)
        reason = objects.faults.get(number) or ("" if image else "is listed, but not there")
        if reason or image is None:
            intake(Reject(file, 0, reason, ""))
            continue
        boxes, kinds = objects.of(number)
        values = {"boxes": boxes, "box_labels": kinds, "stated": (entry.get("width"), entry.get("height"))}
        yield Item(image, files[image], options.split(part, image), values)
    if not seen:
        raise UserError(f"{source / name}: lists no images: is it COCO's JSON (images, annotations, categories)?")
    for number in objects.without(seen):
        intake(Reject(shown(name), 0, f"objects are of the image {number}, which isn't listed", ""))


def _image(json_name: str, file: str, files: dict[str, int]) -> str | None:
    """An image's path: beside the JSON file, or in the folder that COCO unpacks it to."""
    here = PurePosixPath(json_name).parent
    part = PurePosixPath(json_name).stem.removeprefix("instances_")
    beside = (here, here / part, here / "images")
    for folder in (*beside, here.parent / part, here.parent / "images" / part, here.parent / "images"):
        if (path := (folder / file).as_posix()) in files:
            return path
    return None


def _entries(path: Path, key: str) -> Iterator[Any]:
    """The elements of a list in a JSON file, one by one."""
    ijson = need("ijson", "images")
    try:
        with path.open("rb") as file:
            yield from ijson.items(file, f"{key}.item", use_float=True)
    except (ijson.JSONError, ValueError, OverflowError, OSError) as error:
        raise UserError(f"{path}: isn't JSON that can be read ({message_of(error)})") from error


def _check_depth(path: Path) -> None:
    """Refuse JSON that is nested deeply: ijson keeps the path to each level, 25 GB for 100,000 brackets."""
    depth = 0
    try:
        with path.open("rb") as file:
            while piece := file.read(2**20):
                found = np.frombuffer(piece, np.uint8)
                steps = np.isin(found, list(b"[{")).astype(np.int64) - np.isin(found, list(b"]}"))
                if depth + steps.cumsum().max() > _DEEPEST:
                    raise UserError(f"{path}: isn't JSON that can be read (nested more than {_DEEPEST} deep)")
                depth += int(steps.sum())
    except OSError as error:
        raise UserError(f"{path}: can't be read ({error.strerror})") from error


def _decode(source: Path, options: ImageOptions, item: Item) -> dict[str, Any]:
    row = read_image(source / item.file, options)
    boxes, stated = item.values["boxes"], item.values["stated"]
    check_boxes(boxes, row, stated)
    return {**row, "boxes": [number for box in boxes for number in box]}


COCO = Format(
    help="COCO: images, and a JSON file of boxes a split.",
    options=ImageOptions,
    read=read,
    columns=COLUMNS,
    examples=("coco coco data/coco",),
)
