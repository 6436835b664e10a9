"""Texts with a label each."""

import gzip
from pathlib import Path
from typing import Any

import pytest
from tests.pipelines.importing.imported import import_

from saccade.pipelines.errors import UserError


def test_a_csv_with_quotes(tmp_path: Path) -> None:
    source = tmp_path / "reviews.csv"
    source.write_text('id,stars,review\n1,5,"Good, ""really""\ngood"\n2,1,bad\n\n3,10,best\n')
    done = import_("labelled_text", source, tmp_path / "out", text="review", label="stars")
    assert done.labels == ["1", "5", "10"]
    assert [(row["text"], row["label"]) for row in done.rows()] == [
        ('Good, "really"\ngood', 1),
        ("bad", 0),
        ("best", 2),
    ]
    assert not done.rejects


def test_sst2_as_glue_publishes_it(tmp_path: Path) -> None:
    source = tmp_path / "SST-2"
    source.mkdir()
    (source / "train.tsv").write_text('sentence\tlabel\nhide "new secretions \t0\ncontains no wit \t0\n" loves\t1\n')
    (source / "dev.tsv").write_text("sentence\tlabel\nit 's charming \t1\n")
    done = import_("labelled_text", source, tmp_path / "out", text="sentence")
    assert [(row["text"], row["label"]) for row in done.rows()] == [
        ('hide "new secretions', 0),
        ("contains no wit", 0),
        ('" loves', 1),
    ]
    assert done.splits == {"valid": 1, "train": 3}


def test_trec_as_it_is_published(tmp_path: Path) -> None:
    source = tmp_path / "TREC"
    source.mkdir()
    (source / "train_5500.label").write_bytes(
        b"DESC:manner How did serfdom ?\nENTY:cremat What is caf\xe9 ?\nDESC:def Why ?\n"
    )
    (source / "test.label").write_bytes(b"NUM:dist How far ?\n")
    coarse = import_("labelled_text", source, tmp_path / "coarse", label_until=":", encoding="latin-1")
    assert coarse.labels == ["DESC", "ENTY", "NUM"]
    assert [row["label"] for row in coarse.rows()] == [0, 1, 0]
    assert coarse.rows()[1]["text"] == "What is café ?"
    assert coarse.rows("test") == [{"text": "How far ?", "label": 2}]
    fine = import_("labelled_text", source, tmp_path / "fine", encoding="latin-1")
    assert fine.labels == ["DESC:def", "DESC:manner", "ENTY:cremat", "NUM:dist"]


def test_parts_of_several_packed_files(tmp_path: Path) -> None:
    for name in ("train/1.csv.gz", "train/2.csv.gz", "valid.csv.gz", "README.md"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_bytes(gzip.compress(f"text,label\n{name},a\n".encode()))
    done = import_("labelled_text", tmp_path / "in", tmp_path / "out")
    assert [row["text"] for row in done.rows()] == ["train/1.csv.gz", "train/2.csv.gz"]
    assert done.splits == {"train": 2, "valid": 1}


def test_equal_texts_are_never_on_both_sides(tmp_path: Path) -> None:
    source = tmp_path / "x.tsv"
    source.write_text("text\tlabel\n" + "".join(f"text {n % 50}\t{n % 2}\n" for n in range(500)))
    done = import_("labelled_text", source, tmp_path / "out", valid=0.3, test=0.2)
    texts = [{row["text"] for row in done.rows(split)} for split in ("train", "valid", "test")]
    assert sum(map(len, texts)) == 50
    assert sum(done.splits.values()) == 500
    assert all(texts)


def test_no_header(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("1,title,one\n2,title,two\n")
    done = import_("labelled_text", tmp_path / "x.csv", tmp_path / "out", header=False, label="1", text="3")
    assert [(row["text"], row["label"]) for row in done.rows()] == [("one", 0), ("two", 1)]


def test_rows_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "x.tsv").write_bytes(b"text\tlabel\ngood\ta\n\ta\nno label\t\nthree\tb\tc\nbad \xff\tb\n\nfine\tb\n")
    done = import_("labelled_text", tmp_path / "x.tsv", tmp_path / "out")
    assert [row["text"] for row in done.rows()] == ["good", "fine"]
    assert [(reject["line"], reject["reason"]) for reject in done.rejects] == [
        (5, "3 columns instead of 2"),
        (3, "has no text"),
        (4, "has no label"),
        (6, "has the byte 0xff, which isn't text: is it in another encoding?"),
    ]


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        ("text,kind\na,b\n", {}, "has no column 'label'"),
        ("text,label\n", {}, "there is no row to import"),
        ("", {}, "is empty"),
        ("text,label\n,\n", {}, "no row is valid; the only one was rejected"),
        ("text,label\na,b\n", {"label": "text"}, "--text and --label are both 'text'"),
    ],
)
def test_files_that_cannot_be_imported(tmp_path: Path, content: str, options: dict[str, Any], message: str) -> None:
    (tmp_path / "x.csv").write_text(content)
    with pytest.raises(UserError) as raised:
        import_("labelled_text", tmp_path / "x.csv", tmp_path / "out", **options)
    assert message in str(raised.value)


def test_a_column_of_ids_is_no_label(tmp_path: Path) -> None:
    (tmp_path / "x.tsv").write_text("text\tlabel\n" + "".join(f"a\t{n}\n" for n in range(70_000)))
    with pytest.raises(UserError, match="more than 65,536 different labels"):
        import_("labelled_text", tmp_path / "x.tsv", tmp_path / "out")


def test_files_of_no_split_beside_splits(tmp_path: Path) -> None:
    for name in ("train.tsv", "dev.tsv", "extra.tsv"):
        (tmp_path / name).write_text("text\tlabel\na\tb\n")
    done = import_("labelled_text", tmp_path, tmp_path / "out")
    assert done.reasons == {"extra.tsv": "is named after no split, but others are (train, valid, test)"}
    with pytest.raises(UserError, match="has a valid split of its own: leave out --valid"):
        import_("labelled_text", tmp_path, tmp_path / "other", valid=0.5)
