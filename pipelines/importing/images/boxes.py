"""Boxes around objects in an image."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from saccade.pipelines.importing.images.picture import COLUMN_TYPES
from saccade.pipelines.importing.images.picture import COLUMNS as IMAGE_COLUMNS
from saccade.pipelines.importing.labels import with_label_names
from saccade.pipelines.importing.media import Unreadable, list_of, schema_of

COLUMNS = {
    **{name: meaning for name, meaning in IMAGE_COLUMNS.items() if name != "label"},
    "boxes": "xmin, ymin, xmax, ymax of each object in pixels, one object after the other",
    "box_labels": "number of each object's class, see label_names",
}


def box_schema(labels: Iterable[str]) -> pa.Schema:
    """The columns of images with boxes."""
    types = {**COLUMN_TYPES, "boxes": list_of(pa.float32()), "box_labels": list_of(pa.int32()), "file": pa.string()}
    schema = schema_of(**types).with_metadata({"box_format": json.dumps("xmin,ymin,xmax,ymax pixels")})
    return with_label_names(schema, labels)


def check_boxes(boxes: Sequence[Sequence[float]], image: Mapping[str, Any], stated: tuple[Any, Any]) -> None:
    """Refuse an image whose boxes can't belong to it.

    Args:
        boxes: xmin, ymin, xmax, ymax each.
        image: its row, with ``height`` and ``width``.
        stated: width and height that are given beside the boxes; None or 0 where they aren't.

    Raises:
        Unreadable: a box is no box or lies outside of the image, or the image has another size than is stated.
    """
    width, height = image["width"], image["height"]
    if all(stated) and stated != (width, height):
        raise Unreadable(f"has {width} x {height} pixels, but its boxes are of {stated[0]} x {stated[1]}")
    for box in boxes:
        left, top, right, bottom = box
        if not all(map(math.isfinite, box)) or right <= left or bottom <= top:
            raise Unreadable(f"has an object without extent: {list(box)}")
        if right <= 0 or bottom <= 0 or left >= width or top >= height:
            raise Unreadable(f"has an object outside of its {width} x {height} pixels: {list(box)}")
