"""COCO's layout."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.pipelines.importing.images.test_image_folder import draw, pixels
from tests.pipelines.importing.imported import import_

from saccade.pipelines.errors import UserError

CATEGORIES = [{"id": 18, "name": "dog"}, {"id": 3, "name": "car"}, {"id": 90, "name": "brush", "supercategory": "x"}]


def image(number: int, name: str = "", **more: Any) -> dict[str, Any]:
    return {"id": number, "file_name": name or f"{number:012}.jpg", "width": 40, "height": 30, **more}


def thing(image: int, kind: int, box: list[Any], **more: Any) -> dict[str, Any]:
    polygon = [[1.0, 1.0, 2.0, 1.0, 2.0, 2.0]]
    return {"id": 7, "image_id": image, "category_id": kind, "bbox": box, "iscrowd": 0, "segmentation": polygon, **more}


def write(path: Path, images: list[Any], annotations: list[Any], categories: list[Any] = CATEGORIES) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"info": {}, "licenses": [], "images": images, "annotations": annotations, "categories": categories}
    path.write_text(json.dumps(content))


def test_as_it_is_published(tmp_path: Path) -> None:
    for part, number in (("train2017", 9), ("train2017", 25), ("val2017", 30)):
        draw(tmp_path / f"in/{part}/{number:012}.jpg", pixels(30, 40))
    folder = tmp_path / "in/annotations"
    crowd = thing(9, 3, [1, 1, 1, 1], iscrowd=1, segmentation={"counts": [1, 2], "size": [30, 40]})
    objects = [thing(25, 3, [1, 2, 3, 4]), thing(9, 18, [0.5, 0.25, 10.5, 20]), crowd, thing(25, 90, [5, 5, 5, 5])]
    write(folder / "instances_train2017.json", [image(25), image(9)], objects)
    write(folder / "instances_val2017.json", [image(30)], [])
    write(folder / "captions_val2017.json", [image(30)], [{"caption": "x"}], [])
    done = import_("coco", tmp_path / "in", tmp_path / "out")
    assert done.splits == {"train": 2, "valid": 1}
    assert done.labels == ["brush", "car", "dog"]
    first, second = done.rows()
    assert first["file"] == "train2017/000000000025.jpg"
    assert (first["boxes"], first["box_labels"]) == ([1, 2, 4, 6, 5, 5, 10, 10], [1, 0])
    assert (second["boxes"], second["box_labels"]) == ([0.5, 0.25, 11, 20.25], [2])
    assert done.rows("valid")[0]["boxes"] == []
    assert done.about["statistics"] == {"crowds left out": 1}
    assert not done.rejects


def test_json_beside_the_images(tmp_path: Path) -> None:
    for part in ("train", "valid"):
        draw(tmp_path / f"in/{part}/a.png", pixels(30, 40))
        write(tmp_path / f"in/{part}/_annotations.coco.json", [image(0, "a.png")], [thing(0, 3, [1, 1, 1, 1])])
    assert import_("coco", tmp_path / "in", tmp_path / "out").splits == {"train": 1, "valid": 1}


def test_what_cannot_be_taken_is_named_with_its_reason(tmp_path: Path) -> None:
    for number in range(10):
        draw(tmp_path / f"in/train/{number}.png", pixels(30, 40))
    (tmp_path / "in/train/9.png").write_bytes(b"")
    images = [image(number, f"{number}.png") for number in range(10)]
    images[4]["width"] = 41
    images += [image(0, "0.png"), {"id": 50}, image(51, "gone.png"), "text", image(52, "../../etc/passwd")]
    objects = [
        thing(1, 77, [1, 1, 1, 1]),
        thing(2, 3, [1, 1, 0, 1]),
        thing(3, 3, [1, 1, 1]),
        thing(5, 3, [1, 1, 1, None]),
        thing(6, 3, [100, 1, 1, 1]),
        thing(7, 3, [1e300, 1, 1, 1]),
        thing(99, 3, [1, 1, 1, 1]),
        {"bbox": [1, 1, 1, 1]},
        [1],
    ]
    write(tmp_path / "in/train/_annotations.coco.json", images, objects)
    done = import_("coco", tmp_path / "in", tmp_path / "out")
    assert [row["file"] for row in done.rows()] == ["train/0.png", "train/8.png"]
    reasons = sorted((Path(reject["file"]).name, reject["reason"]) for reject in done.rejects)
    expected = [
        ("1.png", "has an object of category 77, which isn't listed"),
        ("2.png", "has an object without extent"),
        ("3.png", "has an object without a category or a box"),
        ("4.png", "has 40 x 30 pixels, but its boxes are of 41 x 30"),
        ("5.png", "has an object without a category or a box"),
        ("6.png", "has an object outside of its 40 x 30 pixels"),
        ("7.png", "has an object without a category or a box"),
        ("9.png", "is empty"),
        ("_annotations.coco.json", "an image has no file_name or no id of its own"),
        ("_annotations.coco.json", "an image has no file_name or no id of its own"),
        ("_annotations.coco.json", "an image has no file_name or no id of its own"),
        ("_annotations.coco.json", "an object has no image_id"),
        ("_annotations.coco.json", "an object has no image_id"),
        ("_annotations.coco.json", "objects are of the image 99, which isn't listed"),
        ("gone.png", "is listed, but not there"),
        ("passwd", "is listed, but not there"),
    ]
    assert len(reasons) == len(expected)
    for found, wanted in zip(reasons, expected, strict=True):
        assert found[0] == wanted[0]
        assert found[1].startswith(wanted[1])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"images": [{"id": 1, "file_na', "isn't JSON that can be read"),
        ("", "isn't JSON that can be read"),
        ('{"images": nonsense}', "isn't JSON that can be read"),
        ('{"images": "\udcff"}', "isn't JSON that can be read"),
        ("[" * 100_000, "isn't JSON that can be read"),
        ("{}", "lists no images"),
        ('{"images": {}, "annotations": 3}', "lists no images"),
        ('{"categories": [{"id": 1}]}', "has no name or no id of its own"),
        ('{"categories": [{"id": 1, "name": "a"}, {"id": 1, "name": "b"}]}', "has no name or no id of its own"),
        ('{"categories": [{"id": 1' + "0" * 400 + ', "name": "a"}]}', "x.json"),
    ],
)
def test_json_that_is_no_coco_is_one_clear_line(tmp_path: Path, content: str, message: str) -> None:
    draw(tmp_path / "in/1.png")
    (tmp_path / "in/x.json").write_text(content, errors="surrogateescape")
    with pytest.raises(UserError) as raised:
        import_("coco", tmp_path / "in", tmp_path / "out")
    assert str(tmp_path / "in/x.json") in str(raised.value)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_no_json(tmp_path: Path) -> None:
    draw(tmp_path / "in/1.png")
    with pytest.raises(UserError, match="holds no JSON file"):
        import_("coco", tmp_path / "in", tmp_path / "out")
