"""Images in a folder a class."""

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.pipelines.importing.imported import import_

from saccade.pipelines.errors import UserError


def pixels(height: int = 5, width: int = 7, channels: int = 3, seed: int = 0) -> np.ndarray[Any, Any]:
    shape = (height, width, channels) if channels > 1 else (height, width)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def draw(path: Path, values: np.ndarray[Any, Any] | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels() if values is None else values).save(path)


def test_what_was_drawn_is_what_is_read(tmp_path: Path) -> None:
    values = {"cat/a.png": pixels(5, 7), "cat/deep/b.bmp": pixels(2, 3), "dog/c.png": pixels(4, 4, 1)}
    for name, drawn in values.items():
        draw(tmp_path / "in" / name, drawn)
    done = import_("image_folder", tmp_path / "in", tmp_path / "out")
    assert done.labels == ["cat", "dog"]
    rows = {row["file"]: row for row in done.rows()}
    assert rows.keys() == values.keys()
    for name, row in rows.items():
        assert row["image"] == values[name].tobytes()
        assert (row["height"], row["width"]) == values[name].shape[:2]
        assert row["channels"] == (1 if name == "dog/c.png" else 3)
        assert row["label"] == (name[:3] == "dog")


def test_jpegs_come_close(tmp_path: Path) -> None:
    smooth = np.full((16, 16, 3), [200, 100, 50], np.uint8)
    draw(tmp_path / "in/a/x.jpg", smooth)
    (row,) = import_("image_folder", tmp_path / "in", tmp_path / "out").rows()
    assert np.abs(np.frombuffer(row["image"], np.uint8).reshape(16, 16, 3).astype(int) - smooth).max() < 6


@pytest.mark.parametrize(("channels", "size"), [("1", 35), ("3", 105)])
def test_channels_can_be_made_equal(tmp_path: Path, channels: str, size: int) -> None:
    draw(tmp_path / "in/a/colour.png")
    draw(tmp_path / "in/a/grey.png", pixels(5, 7, 1))
    draw(tmp_path / "in/a/transparent.png", pixels(5, 7, 4))
    Image.fromarray(pixels()).convert("P").save(tmp_path / "in/a/palette.png")
    rows = import_("image_folder", tmp_path / "in", tmp_path / "out", channels=channels).rows()
    assert [(len(row["image"]), row["channels"]) for row in rows] == [(size, int(channels))] * 4


def test_splits_are_folders_around_the_classes(tmp_path: Path) -> None:
    for name in ("train/cat/1.png", "train/dog/1.png", "val/dog/1.png", "test/cat/1.png"):
        draw(tmp_path / "in" / name)
    done = import_("image_folder", tmp_path / "in", tmp_path / "out")
    assert done.splits == {"train": 2, "valid": 1, "test": 1}
    assert done.labels == ["cat", "dog"]
    assert [row["label"] for row in done.rows("valid")] == [1]


def test_what_cannot_be_taken_is_named_with_its_reason(tmp_path: Path) -> None:
    source = tmp_path / "in"
    draw(source / "a/good.png")
    draw(source / "a/whole.jpg", pixels(64, 64))
    content = (source / "a/whole.jpg").read_bytes()
    (source / "a/cut.jpg").write_bytes(content[: len(content) // 2])
    (source / "a/empty.png").touch()
    (source / "a/text.png").write_text("no image")
    (source / "a/script.eps").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(run me) print\n")
    draw(source / "a/deep.png", pixels(2, 2, 1).astype(np.uint16) * 256)
    draw(source / "a/large.png", pixels(101, 100, 1))
    draw(source / "outside.png")
    done = import_("image_folder", source, tmp_path / "out", max_pixels=10_000)
    assert {row["file"] for row in done.rows()} == {"a/good.png", "a/whole.jpg"}
    expected = {
        "cut.jpg": "can't be decoded (image file is truncated",
        "empty.png": "is empty",
        "text.png": "can't be decoded (it is none of png, jpeg",
        "script.eps": "can't be decoded (it is none of png, jpeg",
        "deep.png": "has pixels of the sort I;16, not of 8 bits a channel",
        "large.png": "has 100 x 101 pixels, more than --max-pixels 10,000",
        "outside.png": "lies in no class's folder",
    }
    assert done.reasons.keys() == expected.keys()
    for name, reason in expected.items():
        assert done.reasons[name].startswith(reason), done.reasons[name]


def test_a_small_file_that_states_many_pixels_is_not_unpacked(tmp_path: Path) -> None:
    draw(tmp_path / "in/a/good.png")
    for side in (10_000, 30_000):
        header = b"IHDR" + struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
        chunk = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
        begin = struct.pack(">I", 1000) + b"IDAT"
        (tmp_path / f"in/a/{side}.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunk + begin)
    done = import_("image_folder", tmp_path / "in", tmp_path / "out")
    assert len(done.rows()) == 1
    assert done.reasons["10000.png"] == "has 10000 x 10000 pixels, more than --max-pixels 20,000,000"
    assert "900000000 pixels" in done.reasons["30000.png"]


def test_a_class_named_train(tmp_path: Path) -> None:
    for name in ("car/1.png", "train/1.png"):
        draw(tmp_path / "in" / name)
    with pytest.raises(UserError, match="train/ looks like a split, but car/ beside it doesn't"):
        import_("image_folder", tmp_path / "in", tmp_path / "out")
