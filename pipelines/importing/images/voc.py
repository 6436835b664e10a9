"""Pascal VOC: an XML file an image with its objects' names and boxes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from saccade.pipelines.errors import UserError
from saccade.pipelines.importing.folder import list_files, shown
from saccade.pipelines.importing.format import Format, Rows
from saccade.pipelines.importing.images.boxes import COLUMNS, box_schema, check_boxes
from saccade.pipelines.importing.images.picture import ImageOptions, read_image
from saccade.pipelines.importing.intake import Intake
from saccade.pipelines.importing.labels import number_labels
from saccade.pipelines.importing.media import Item, Meter, Unreadable, message_of, need, read_items, regular_file
from saccade.pipelines.importing.parts import part_folders, part_of
from saccade.pipelines.importing.reject import Reject
from saccade.pipelines.importing.text.lines import numbered_lines

_LISTS = "ImageSets/Main"
_ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".JPG", ".JPEG", ".PNG")
_LARGEST = 2**24


@dataclass(frozen=True)
class _Annotation:
    filename: str
    size: tuple[int, int]
    names: tuple[str, ...]
    boxes: tuple[tuple[float, float, float, float], ...]


def read(source: Path, options: ImageOptions, intake: Intake) -> Rows:
    """Rows of all images that have an XML file, in an order that mixes what is named alike.

    Where ``ImageSets/Main`` has train.txt, val.txt or test.txt, these say which images there are.
    """
    need("PIL.Image", "images")
    need("defusedxml.ElementTree", "images")
    files = list_files(source)
    annotations = sorted((name for name in files if name.lower().endswith(".xml")), key=options.hash)
    if not annotations:
        raise UserError(f"{source}: holds no XML file: name VOC's folder (…/VOC2012)")
    listed = _listed(source, files, annotations, intake)
    folders = part_folders(str(source), annotations) if listed is None else {}
    parts = {name: folders.get(name.split("/")[0]) for name in annotations} if listed is None else listed
    options.check(str(source), {part for part in parts.values() if part})

    names: set[str] = set()
    good = []
    for name in annotations:
        if name not in parts:
            continue
        try:
            names.update(_parse(source / name).names)
        except Unreadable as error:
            intake(Reject(shown(name), 0, str(error), ""))
        else:
            good.append(name)
    labels = number_labels(names, str(source))

    def items() -> Iterator[Item]:
        for name in good:
            yield Item(name, files[name], options.split(parts[name], name), {})

    decode = partial(_decode, source, options, files, labels)
    meter = Meter(intake, sum(files[name] for name in good))
    yield from read_items(items(), decode, box_schema(labels), intake, meter.add)


def _listed(
    source: Path, files: dict[str, int], annotations: list[str], intake: Intake
) -> dict[str, str | None] | None:
    """The annotations that the lists name, and the split of each; None where there are no lists."""
    by_stem = {Path(name).stem: name for name in annotations}
    found: dict[str, str | None] | None = None
    for name in files:
        path = Path(name)
        # aeroplane_train.txt lists images by what is in them; trainval.txt is the sum of two others.
        if not path.parent.as_posix().endswith(_LISTS) or path.suffix != ".txt" or (part := part_of(path.stem)) is None:
            continue
        found = found or {}
        for number, line in numbered_lines(source / name):
            stem = line.strip()
            if stem and stem in by_stem:
                found[by_stem[stem]] = part
            elif stem:
                intake(Reject(name, number, "has no XML file", stem))
    return found


def _parse(path: Path) -> _Annotation:
    """What an XML file says.

    Raises:
        Unreadable: it isn't XML, has a document type (entities can make a small file as large as one likes), or lacks
            something.
    """
    if regular_file(path) > _LARGEST:
        raise Unreadable(f"has more than {_LARGEST:,} bytes")
    try:
        root = need("defusedxml.ElementTree", "images").parse(path, forbid_dtd=True).getroot()
        objects = root.findall("object")
        boxes = tuple(_box(item.find("bndbox")) for item in objects)
        names = tuple(item.find("name").text.strip() for item in objects)
        size = [root.findtext(f"size/{side}") or "0" for side in ("width", "height")]
        filename = (root.findtext("filename") or "").strip()
        stated = int(float(size[0])), int(float(size[1]))
    except (SyntaxError, ValueError, OverflowError, LookupError, OSError) as error:
        raise Unreadable(f"isn't XML that can be read ({message_of(error)})") from error
    except (AttributeError, TypeError) as error:  # find() gave nothing, or an element without text
        raise Unreadable("lacks an object's name or box, or a number in it") from error
    if not all(names):
        raise Unreadable("has an object without a name")
    return _Annotation(filename, stated, names, boxes)


def _box(element: Any) -> tuple[float, float, float, float]:
    left, top, right, bottom = (float(element.find(side).text) for side in ("xmin", "ymin", "xmax", "ymax"))
    return left, top, right, bottom


def _decode(
    source: Path, options: ImageOptions, files: dict[str, int], labels: dict[str, int], item: Item
) -> dict[str, Any]:
    about = _parse(source / item.file)
    row = read_image(source / _image(item.file, about.filename, files), options)
    check_boxes(about.boxes, row, about.size)
    return {
        **row,
        "boxes": [number for box in about.boxes for number in box],
        "box_labels": [labels[name] for name in about.names],
    }


def _image(annotation: str, filename: str, files: dict[str, int]) -> str:
    """The image of an XML file: beside it or in a folder beside its own."""
    path = Path(annotation)
    names = [filename.replace("\\", "/").rpartition("/")[2], *(path.stem + ending for ending in _ENDINGS)]
    for folder in (path.parent, path.parent.parent / "JPEGImages", path.parent.parent / "images"):
        for name in filter(None, names):
            if (folder / name).as_posix() in files:
                return (folder / name).as_posix()
    raise Unreadable(f"its image {filename or path.stem!r} is neither beside it nor in JPEGImages/ or images/")


VOC = Format(
    help="Pascal VOC: images with an XML file of boxes each.",
    options=ImageOptions,
    read=read,
    columns=COLUMNS,
    examples=("voc VOCdevkit/VOC2012 data/voc",),
)
