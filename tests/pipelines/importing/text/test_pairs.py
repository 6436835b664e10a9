"""Pairs of texts."""

import gzip
from pathlib import Path
from typing import Any

import pytest
from tests.pipelines.importing.imported import import_

from saccade.pipelines.errors import UserError

SIDES = {"source_side": "en", "target_side": "de"}


def write_parallel(folder: Path, **parts: list[tuple[str, str]]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, pairs in parts.items():
        for side, ending in enumerate(("en", "de")):
            (folder / f"{name}.{ending}").write_bytes("".join(f"{pair[side]}\n" for pair in pairs).encode())
    return folder


def pairs(rows: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(row["source"], row["target"]) for row in rows]


def test_parallel_files_line_by_line(tmp_path: Path) -> None:
    # A line separator (U+2028), a form feed and a carriage return stand inside of sentences in published corpora.
    train = [("Two dogs.", "Zwei Hunde."), ("A\u2028cat", "Eine\x0cKatze"), ("One\rline", "Eine Zeile")]
    source = write_parallel(tmp_path / "in", train=train, val=[("v", "w")], test_2016_flickr=[("t", "u")])
    done = import_("text_pairs", source, tmp_path / "out", **SIDES)
    assert pairs(done.rows()) == train
    assert pairs(done.rows("valid")) == [("v", "w")]
    assert pairs(done.rows("test")) == [("t", "u")]


def test_files_of_unequal_length_are_an_error_with_both_counts(tmp_path: Path) -> None:
    source = write_parallel(tmp_path / "in", train=[("a", "b")] * 3)
    with (source / "train.de").open("a") as file:
        file.write("c\nd\n")
    with pytest.raises(UserError, match=r"train\.en: has 3 lines, but train\.de has 5: line by line"):
        import_("text_pairs", source, tmp_path / "out", **SIDES)
    assert not (tmp_path / "out").exists()


def test_one_side_packed(tmp_path: Path) -> None:
    source = write_parallel(tmp_path / "in", corpus=[("a", "b"), ("c", "d")])
    (source / "corpus.de.gz").write_bytes(gzip.compress((source / "corpus.de").read_bytes()))
    (source / "corpus.de").unlink()
    assert pairs(import_("text_pairs", source, tmp_path / "out", **SIDES).rows()) == [("a", "b"), ("c", "d")]


def test_tsv_with_and_without_names(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text('source\ttarget\tby\nHi "\tHallo\tx\n')
    assert pairs(import_("text_pairs", tmp_path / "a.tsv", tmp_path / "a").rows()) == [('Hi "', "Hallo")]
    (tmp_path / "b.tsv").write_text("Hi.\tHallo.\tCC-BY\nGo.\tGeh.\tCC-BY\n")
    done = import_("text_pairs", tmp_path / "b.tsv", tmp_path / "b", header=False, source_side="2", target_side="1")
    assert pairs(done.rows()) == [("Hallo.", "Hi."), ("Geh.", "Go.")]


def test_pairs_without_a_side_are_rejected(tmp_path: Path) -> None:
    source = write_parallel(tmp_path / "in", train=[("a", "b"), ("", "c"), ("d", " "), ("e", "f")])
    done = import_("text_pairs", source, tmp_path / "out", **SIDES)
    assert pairs(done.rows()) == [("a", "b"), ("e", "f")]
    assert [(reject["line"], reject["reason"]) for reject in done.rejects] == [
        (2, "has no source"),
        (3, "has no target"),
    ]


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    source = write_parallel(tmp_path / "in", train=[("a", "b")])
    (source / "train.de").unlink()
    with pytest.raises(UserError, match=r"train\.en: no train\.de beside it"):
        import_("text_pairs", source, tmp_path / "out", **SIDES)
    with pytest.raises(UserError, match=r"in: holds no file of csv or tsv .* nor of the endings \.source and \.target"):
        import_("text_pairs", source, tmp_path / "out")
    with pytest.raises(UserError, match="--source-side and --target-side are both 'en'"):
        import_("text_pairs", source, tmp_path / "out", source_side="en", target_side="en")
