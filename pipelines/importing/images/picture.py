"""One image file as raw pixels.

Pillow reads png, jpeg, bmp, gif (its first frame), tiff, webp and ppm; its other plugins are off, because some start
programs. Pixels are written raw, so that reading costs no decoding; but zstd hardly makes photographs smaller: 364
jpegs of 640 x 480 and 21 kB each become 190 MB of Parquet, 25 times as much.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from saccade.pipelines.errors import UserError
from saccade.pipelines.importing.format import option
from saccade.pipelines.importing.media import Unreadable, message_of, need, regular_file
from saccade.pipelines.importing.parts import Division

COLUMN_TYPES = {"image": pa.binary(), "height": pa.int32(), "width": pa.int32(), "channels": pa.int32()}
COLUMNS = {
    "image": "pixels, uint8, row by row, the channels of a pixel beside each other (HWC)",
    "height": "rows of pixels",
    "width": "pixels of a row",
    "channels": "1: grey, 3: red, green, blue",
    "label": "number of the class, see label_names",
    "file": "path in the source",
}

_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM")
_MODES = {
    **dict.fromkeys(("1", "L", "LA", "La"), "L"),
    **dict.fromkeys(("P", "PA", "RGB", "RGBA", "RGBX", "RGBa", "CMYK", "YCbCr", "LAB", "HSV"), "RGB"),
}


@dataclass(frozen=True)
class ImageOptions(Division):
    """Options of every format with image files."""

    channels: Literal["keep", "1", "3"] = option("keep", "Make all images grey (1) or coloured (3).")
    max_pixels: int = option(20_000_000, "Larger images are rejected: a row is held in memory as a whole.")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.max_pixels < 1:
            raise UserError(f"--max-pixels is {self.max_pixels}, but must be at least 1")


def read_image(path: Path, options: ImageOptions) -> dict[str, Any]:
    """The columns ``image``, ``height``, ``width`` and ``channels`` of a file's row.

    Transparency is left out, and so is a turn that a camera noted (EXIF): boxes count the pixels as they are stored.

    Raises:
        UserError: Pillow is missing.
        Unreadable: it is no image, is cut off or damaged, is too large, or has more than 8 bits a channel.
    """
    regular_file(path)
    pillow = need("PIL.Image", "images")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of sizes, which are checked below, and of odd metadata
            with pillow.open(path, formats=_FORMATS) as image:
                width, height = image.size
                # Before anything is decoded: a small file may state, and have, any number of pixels.
                if width * height > options.max_pixels:
                    raise Unreadable(f"has {width} x {height} pixels, more than --max-pixels {options.max_pixels:,}")
                mode = _MODES.get(image.mode)
                if mode is None:
                    raise Unreadable(f"has pixels of the sort {image.mode}, not of 8 bits a channel")
                mode = {"1": "L", "3": "RGB"}.get(options.channels, mode)
                pixels = image.convert(mode)
    except Unreadable:
        raise
    except Exception as error:
        # Pillow's plugins raise what comes up: OSError, SyntaxError, ValueError, struct.error and more.
        reason = message_of(error)
        if isinstance(error, need("PIL", "images").UnidentifiedImageError):
            reason = f"it is none of {', '.join(_FORMATS).lower()}"
        raise Unreadable(f"can't be decoded ({reason})") from error
    return {"image": pixels.tobytes(), "height": height, "width": width, "channels": len(mode)}
