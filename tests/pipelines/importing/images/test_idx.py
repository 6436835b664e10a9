"""IDX, the format of MNIST."""

import gzip
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.pipelines.importing.images.test_image_folder import pixels
from tests.pipelines.importing.imported import import_

from saccade.pipelines.errors import UserError


def idx(values: np.ndarray[Any, Any]) -> bytes:
    """As http://yann.lecun.com/exdb/mnist describes it: big-endian sizes, then the bytes."""
    return struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape) + values.astype(np.uint8).tobytes()


def write(folder: Path, prefix: str, count: int, packed: bool = False) -> tuple[np.ndarray[Any, Any], list[int]]:
    folder.mkdir(parents=True, exist_ok=True)
    images, labels = pixels(count * 4, 6, 1, seed=count).reshape(count, 4, 6), [n % 3 for n in range(count)]
    for name, values in (("images-idx3", images), ("labels-idx1", np.array(labels))):
        content = idx(values)
        path = folder / f"{prefix}-{name}-ubyte{'.gz' if packed else ''}"
        path.write_bytes(gzip.compress(content) if packed else content)
    return images, labels


@pytest.mark.parametrize("packed", [False, True])
def test_what_was_written_is_what_is_read(tmp_path: Path, packed: bool) -> None:
    images, labels = write(tmp_path / "in", "train", 50, packed)
    write(tmp_path / "in", "t10k", 20, packed)
    done = import_("idx", tmp_path / "in", tmp_path / "out")
    assert done.splits == {"test": 20, "train": 50}
    assert done.labels == ["0", "1", "2"]
    rows = done.rows()
    assert b"".join(row["image"] for row in rows) == images.tobytes()
    assert [row["label"] for row in rows] == labels
    assert {(row["height"], row["width"], row["channels"]) for row in rows} == {(4, 6, 1)}


def test_rows_for_validation_are_drawn_from_training(tmp_path: Path) -> None:
    write(tmp_path / "in", "emnist-letters-train", 300)
    write(tmp_path / "in", "emnist-letters-test", 30)
    done = import_("idx", tmp_path / "in", tmp_path / "out", valid=0.2)
    assert done.splits["test"] == 30
    assert done.splits["train"] + done.splits["valid"] == 300
    assert 30 < done.splits["valid"] < 90


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("images-idx3-ubyte", lambda content: content[:-1], "bytes, but has"),
        ("images-idx3-ubyte", lambda content: content + b"x", "bytes, but has"),
        ("images-idx3-ubyte", lambda content: content[:10], "is cut off"),
        ("images-idx3-ubyte", lambda content: b"", "is cut off"),
        ("images-idx3-ubyte", lambda content: b"\x89PNG" + content[4:], "is no IDX file of bytes"),
        ("images-idx3-ubyte", lambda content: content[:4] + b"\xff" * 4 + content[8:], "bytes, but has"),
        (
            "labels-idx1-ubyte",
            lambda content: idx(np.zeros(49)),
            "has 50 images, but train-labels-idx1-ubyte has 49 labels",
        ),
        ("labels-idx1-ubyte", lambda content: idx(np.zeros((50, 1))), "labels are [N]"),
        ("images-idx3-ubyte", lambda content: idx(np.zeros((50, 4))), "images are [N, H, W]"),
    ],
)
def test_damaged_files_are_named(tmp_path: Path, name: str, change: Any, message: str) -> None:
    write(tmp_path / "in", "train", 50)
    path = tmp_path / f"in/train-{name}"
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(UserError) as raised:
        import_("idx", tmp_path / "in", tmp_path / "out")
    assert str(tmp_path / "in/train-") in str(raised.value)
    assert message in str(raised.value)


def test_a_packed_header_that_states_too_much(tmp_path: Path) -> None:
    write(tmp_path / "in", "train", 50, packed=True)
    path = tmp_path / "in/train-images-idx3-ubyte.gz"
    content = gzip.decompress(path.read_bytes())
    path.write_bytes(gzip.compress(content[:8] + b"\x7f\xff\xff\xff" * 2 + content[16:]))
    with pytest.raises(UserError, match=r"states images of 2147483647 x 2147483647 pixels"):
        import_("idx", tmp_path / "in", tmp_path / "out")
    path.write_bytes(gzip.compress(content)[:-30])
    with pytest.raises(UserError, match=f"{path}: can't be read"):
        import_("idx", tmp_path / "in", tmp_path / "out")


def test_images_without_labels(tmp_path: Path) -> None:
    write(tmp_path / "in", "train", 5)
    (tmp_path / "in/train-labels-idx1-ubyte").unlink()
    with pytest.raises(UserError, match="train-images-idx3-ubyte: 0 files beside it hold its labels"):
        import_("idx", tmp_path / "in", tmp_path / "out")
    (tmp_path / "in/train-images-idx3-ubyte").unlink()
    with pytest.raises(UserError, match="holds no images in IDX"):
        import_("idx", tmp_path / "in", tmp_path / "out")
