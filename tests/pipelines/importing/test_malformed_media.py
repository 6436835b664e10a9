"""Damaged sources: each file and line becomes a row or a reject, or the import ends with the name of a file."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.pipelines.importing.images.test_coco import image, thing
from tests.pipelines.importing.images.test_coco import write as write_coco
from tests.pipelines.importing.images.test_idx import write as write_idx
from tests.pipelines.importing.images.test_image_folder import draw, pixels
from tests.pipelines.importing.images.test_voc import add
from tests.pipelines.importing.imported import import_
from tests.pipelines.importing.speech.test_common_voice import write_list
from tests.pipelines.importing.speech.test_librispeech import chapter
from tests.pipelines.importing.speech.test_speech_folder import record, tone
from tests.pipelines.importing.text.test_pairs import SIDES, write_parallel

from saccade.pipelines.errors import UserError


def speech_folder(source: Path) -> None:
    for number, ending in enumerate(("wav", "flac", "ogg", "mp3", "aiff", "wav")):
        record(source / f"{number}_a_b.{ending}", tone(4000))


def librispeech(source: Path) -> None:
    chapter(source / "dev-clean", 1, 2, ["ONE", "TWO", "THREE"])


def common_voice(source: Path) -> None:
    write_list(source / "train.tsv", {f"{n}.mp3": f"Sentence {n}." for n in range(5)})
    for number in range(5):
        record(source / f"clips/{number}.mp3", tone(4000))


def labelled_csv(source: Path) -> None:
    source.mkdir()
    (source / "train.csv").write_text("text,label\n" + "".join(f'"Text, {n}",{n % 2}\n' for n in range(30)))


def labelled_lines(source: Path) -> None:
    source.mkdir()
    (source / "train.txt").write_text("".join(f"LABEL{n % 2}:x text {n}\n" for n in range(30)))


def text_pairs(source: Path) -> None:
    write_parallel(source, train=[(f"text {n}", f"Satz {n}") for n in range(30)])


def image_folder(source: Path) -> None:
    for number, ending in enumerate(("png", "jpg", "bmp", "gif", "tiff", "webp", "ppm")):
        draw(source / f"{'ab'[number % 2]}/{number}.{ending}", pixels(20, 30))


def idx(source: Path) -> None:
    write_idx(source, "train", 20)
    write_idx(source, "t10k", 10, packed=True)


def voc(source: Path) -> None:
    for number in range(5):
        add(source, str(number), {"a": (1, 2, 10, 20), "b": (3, 4, 5, 6)})


def coco(source: Path) -> None:
    for number in range(5):
        draw(source / f"train/{number}.png", pixels(30, 40))
    objects = [thing(number % 5, 3, [1, 1, 5, 5]) for number in range(10)]
    write_coco(source / "train/_annotations.coco.json", [image(n, f"{n}.png") for n in range(5)], objects)


FORMATS: dict[str, tuple[str, Callable[[Path], None], dict[str, Any]]] = {
    "speech_folder": ("speech_folder", speech_folder, {}),
    "librispeech": ("librispeech", librispeech, {}),
    "common_voice": ("common_voice", common_voice, {}),
    "labelled_csv": ("labelled_text", labelled_csv, {}),
    "labelled_lines": ("labelled_text", labelled_lines, {"label_until": ":"}),
    "text_pairs": ("text_pairs", text_pairs, SIDES),
    "image_folder": ("image_folder", image_folder, {}),
    "idx": ("idx", idx, {}),
    "voc": ("voc", voc, {}),
    "coco": ("coco", coco, {}),
}


def damage(source: Path, draw: random.Random) -> str:
    """Damage one file, and say how."""
    files = sorted(path for path in source.rglob("*") if path.is_file())
    path = draw.choice(files)
    content = bytearray(path.read_bytes())
    how = draw.choice(["cut", "flip", "swap", "empty", "noise", "insert", "double"])
    if how == "cut":
        del content[draw.randrange(len(content)) :]
    elif how == "flip":
        for _ in range(draw.choice([1, 8, 64])):
            content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    elif how == "swap":
        content = bytearray(draw.choice(files).read_bytes())
    elif how == "empty":
        content.clear()
    elif how == "noise":
        content = bytearray(draw.randbytes(draw.randrange(1, 2000)))
    elif how == "insert":
        place = draw.randrange(len(content))
        content[place:place] = draw.randbytes(draw.randrange(1, 50))
    else:
        content *= 2
    path.write_bytes(content)
    return f"{how} {path.relative_to(source)}"


def expected_rows(name: str, source: Path) -> int:
    """How many rows or rejects there must be: one a file, or one a line that isn't blank."""
    if name == "labelled_lines":
        return sum(bool(line.strip()) for line in (source / "train.txt").read_bytes().split(b"\n"))
    if name == "common_voice":
        return sum(bool(line.strip()) for line in re.split(rb"[\r\n]", (source / "train.tsv").read_bytes())) - 1
    if name == "text_pairs":
        return len((source / "train.en").read_bytes().removesuffix(b"\n").split(b"\n"))
    return {"speech_folder": 6, "librispeech": 3, "image_folder": 7, "idx": 30, "voc": 5, "coco": 5}[name]


@pytest.mark.parametrize("name", FORMATS)
def test_nothing_is_lost_in_silence(tmp_path: Path, name: str) -> None:
    form, make, options = FORMATS[name]
    finished = 0
    for number in range(12):
        source = tmp_path / f"in{number}"
        make(source)
        how = damage(source, random.Random(f"{name} {number}"))
        try:
            done = import_(form, source, tmp_path / f"out{number}", **options)
        except UserError as error:
            problem = str(error)
        else:
            problem = ""
        if problem:
            assert str(source) in problem, how
            assert "\n" not in problem, how
            assert not (tmp_path / f"out{number}").exists()
            continue
        finished += 1
        rows = [row for split in done.splits for row in done.rows(split)]
        assert len(rows) == sum(done.splits.values())
        assert len(done.rejects) == done.about["rejected"]
        if name == "labelled_csv":
            continue  # a damaged quote may join lines or part them
        found, wanted = len(rows) + len(done.rejects), expected_rows(name, source)
        # In lists, a line and its file may both be rejected: neither has the other.
        assert found >= wanted if name in ("librispeech", "coco") else found == wanted, how
        if "audio" in done.about["columns"]:
            assert all(np.isfinite(row["audio"]).all() and np.abs(row["audio"]).max() <= 1 for row in rows), how
        if "image" in done.about["columns"]:
            assert all(len(row["image"]) == row["height"] * row["width"] * row["channels"] for row in rows), how
    assert finished > 0
