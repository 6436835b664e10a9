"""Pascal VOC's layout."""

import json
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from tests.pipelines.importing.images.test_image_folder import draw, pixels
from tests.pipelines.importing.imported import import_

from saccade.pipelines.errors import UserError

BOMB = "<!DOCTYPE x [" + "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10 if n else "x" * 10}">' for n in range(12)) + "]>"


def annotation(name: str, objects: dict[str, tuple[float, ...]], size: tuple[int, int] = (40, 30)) -> str:
    boxes = "".join(
        f"<object><name>{kind}</name><pose>Left</pose><difficult>0</difficult><bndbox><xmin>{box[0]}</xmin>"
        f"<ymin>{box[1]}</ymin><xmax>{box[2]}</xmax><ymax>{box[3]}</ymax></bndbox></object>"
        for kind, box in objects.items()
    )
    return (
        f"<annotation><folder>VOC2012</folder><filename>{name}.jpg</filename><source><database>none</database></source>"
        f"<size><width>{size[0]}</width><height>{size[1]}</height><depth>3</depth></size>{boxes}</annotation>"
    )


def add(source: Path, name: str, objects: dict[str, tuple[float, ...]], size: tuple[int, int] = (40, 30)) -> Path:
    draw(source / f"JPEGImages/{name}.jpg", pixels(30, 40))
    path = source / f"Annotations/{name}.xml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(annotation(name, objects, size))
    return path


def test_boxes_and_lists(tmp_path: Path) -> None:
    source = tmp_path / "VOC2012"
    add(source, "1", {"person": (1, 2, 10, 20), "chair": (5.5, 6, 40, 30)})
    add(source, "2", {"chair": (1, 1, 2, 2)})
    add(source, "3", {})
    add(source, "unlisted", {"sofa": (1, 1, 2, 2)})
    lists = source / "ImageSets/Main"
    lists.mkdir(parents=True)
    for name, content in {"train": "1\n3\n", "val": "2\n", "trainval": "1\n2\n3\n", "chair_train": "1 1\n"}.items():
        (lists / f"{name}.txt").write_text(content)
    done = import_("voc", source, tmp_path / "out")
    assert done.splits == {"train": 2, "valid": 1}
    assert done.labels == ["chair", "person"]
    rows = {row["file"]: row for row in done.rows()}
    first = rows["Annotations/1.xml"]
    assert first["boxes"] == [1, 2, 10, 20, 5.5, 6, 40, 30]
    assert first["box_labels"] == [1, 0]
    assert (first["height"], first["width"], len(first["image"])) == (30, 40, 3600)
    assert rows["Annotations/3.xml"]["boxes"] == rows["Annotations/3.xml"]["box_labels"] == []
    metadata = pq.read_schema(next(done.folder.rglob("*.parquet"))).metadata
    assert json.loads(metadata[b"box_format"]) == "xmin,ymin,xmax,ymax pixels"


def test_xml_beside_the_images_in_splits(tmp_path: Path) -> None:
    for split in ("train", "valid", "test"):
        draw(tmp_path / f"in/{split}/x.png", pixels(30, 40))
        (tmp_path / f"in/{split}/x.xml").write_text(annotation("x", {"a": (1, 1, 2, 2)}))
    done = import_("voc", tmp_path / "in", tmp_path / "out")
    assert done.splits == {"train": 1, "valid": 1, "test": 1}


def test_what_cannot_be_taken_is_named_with_its_reason(tmp_path: Path) -> None:
    source = tmp_path / "in"
    add(source, "good", {"a": (1, 1, 2, 2)})
    add(source, "flat", {"a": (5, 1, 5, 2)})
    add(source, "outside", {"a": (50, 1, 60, 2)})
    add(source, "size", {"a": (1, 1, 2, 2)}, size=(30, 40))
    add(source, "nan", {"a": (float("nan"), 1, 2, 2)})
    add(source, "no image", {"a": (1, 1, 2, 2)})
    (source / "JPEGImages/no image.jpg").unlink()
    add(source, "word", {"a": (1, 1, 2, 2)}).write_text(annotation("word", {"a": (1, 1, 2, 2)}).replace(">1<", ">one<"))
    add(source, "nameless", {"": (1, 1, 2, 2)})
    add(source, "boxless", {}).write_text("<annotation><object><name>a</name></object></annotation>")
    add(source, "cut", {}).write_text(annotation("cut", {})[:50])
    add(source, "empty", {}).write_text("")
    add(source, "encoding", {}).write_text('<?xml version="1.0" encoding="klingon"?><annotation/>')
    done = import_("voc", source, tmp_path / "out")
    assert [row["file"] for row in done.rows()] == ["Annotations/good.xml"]
    expected = {
        "flat": "has an object without extent: [5.0, 1.0, 5.0, 2.0]",
        "outside": "has an object outside of its 40 x 30 pixels",
        "size": "has 40 x 30 pixels, but its boxes are of 30 x 40",
        "nan": "has an object without extent",
        "no image": "its image no image.jpg",
        "word": "isn't XML that can be read (could not convert string to float: 'one')",
        "nameless": "lacks an object's name or box",
        "boxless": "lacks an object's name or box",
        "cut": "isn't XML that can be read (",
        "empty": "is empty",
        "encoding": "isn't XML that can be read (",
    }
    assert done.reasons.keys() == {f"{name}.xml" for name in expected}
    for name, reason in expected.items():
        assert done.reasons[f"{name}.xml"].replace("'no image.jpg'", "no image.jpg").startswith(reason), name


def test_entities_are_never_expanded(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    add(tmp_path / "in", "good", {"a": (1, 1, 2, 2)})
    body = annotation("x", {"&a11;": (1, 1, 2, 2)})
    add(tmp_path / "in", "bomb", {}).write_text(BOMB + body)
    outside = f'<!DOCTYPE x [<!ENTITY a11 SYSTEM "file://{secret}">]>'
    add(tmp_path / "in", "outside", {}).write_text(outside + body)
    add(tmp_path / "in", "deep", {}).write_text("<a>" * 100_000)
    begin = time.monotonic()
    done = import_("voc", tmp_path / "in", tmp_path / "out")
    assert time.monotonic() - begin < 10
    assert done.reasons.keys() == {"bomb.xml", "outside.xml", "deep.xml"}
    assert done.labels == ["a"]


def test_a_folder_without_xml(tmp_path: Path) -> None:
    draw(tmp_path / "in/x.png")
    with pytest.raises(UserError, match="holds no XML file"):
        import_("voc", tmp_path / "in", tmp_path / "out")
