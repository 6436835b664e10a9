"""Each published layout, written as its publisher writes it."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from tests.pipelines.importing.history_import import Imported, import_file

from saccade.pipelines.errors import UserError
from saccade.pipelines.importing.movielens import _GENRES

RATINGS = [(1, 10, 5, 880000003), (2, 10, 3, 880000001), (1, 20, 4, 880000001), (1, 30, 2, 880000002)]
TITLES = {10: "Café, The (1995)", 20: 'Say "Hi" (1996)'}


def check(found: Imported) -> None:
    assert found.histories() == {1: [20, 30, 10], 2: [10]}
    assert [row["timestamps"] for row in found.rows()] == [[880000001, 880000002, 880000003], [880000001]]
    assert [row["ratings"] for row in found.rows()] == [[4.0, 2.0, 5.0], [3.0]]
    assert not found.rejects


def check_details(found: Imported) -> None:
    details = {row["id"]: row for row in pq.read_table(found.folder / "item_details.parquet").to_pylist()}
    values = pq.read_table(found.folder / "items.parquet")["value"].to_pylist()
    by_item = {values[number - 1]: row for number, row in details.items()}
    assert {item: row["title"] for item, row in by_item.items()} == {**TITLES, 30: None}
    assert by_item[10]["genres"] == ["Action", "Sci-Fi"]
    assert by_item[20]["genres"] == by_item[30]["genres"] == []


def test_movielens_100k(tmp_path: Path) -> None:
    (tmp_path / "u.data").write_text("".join("\t".join(map(str, row)) + "\n" for row in RATINGS))
    flags = {10: {"Action", "Sci-Fi"}, 20: set()}
    (tmp_path / "u.item").write_bytes(
        "".join(
            "|".join([str(item), title, "01-Jan-1995", "", "http://x", *(str(int(g in flags[item])) for g in _GENRES)])
            + "\n"
            for item, title in TITLES.items()
        ).encode("latin-1")
    )
    found = import_file("movielens", tmp_path, tmp_path / "out")
    check(found)
    check_details(found)
    check(import_file("movielens", tmp_path / "u.data", tmp_path / "file"))


@pytest.mark.parametrize("encoding", ["latin-1", "utf-8"])
def test_movielens_1m_and_10m(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "ratings.dat").write_text("".join("::".join(map(str, row)) + "\n" for row in RATINGS))
    genres = {10: "Action|Sci-Fi", 20: "(no genres listed)"}
    movies = "".join(f"{item}::{title}::{genres[item]}\n" for item, title in TITLES.items())
    (tmp_path / "movies.dat").write_bytes(movies.encode(encoding))
    found = import_file("movielens", tmp_path, tmp_path / "out")
    check(found)
    check_details(found)


def test_movielens_20m_and_later(tmp_path: Path) -> None:
    rows = "".join(",".join(map(str, row)) + "\r\n" for row in RATINGS)
    (tmp_path / "ratings.csv").write_bytes(f"userId,movieId,rating,timestamp\r\n{rows}".encode())
    (tmp_path / "movies.csv").write_text(
        'movieId,title,genres\n10,"Café, The (1995)",Action|Sci-Fi\n20,"Say ""Hi"" (1996)",(no genres listed)\n'
    )
    found = import_file("movielens", tmp_path, tmp_path / "out")
    check(found)
    check_details(found)


def test_recbole(tmp_path: Path) -> None:
    rows = "".join(f"{u}\t{i}\t{r}\t{t}.0\n" for u, i, r, t in RATINGS)
    header = "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
    (tmp_path / "ml.inter").write_text(header + rows)
    (tmp_path / "ml.item").write_text(
        "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n"
        '10\tCafé, The (1995)\t1995\tAction Sci-Fi\n20\tSay "Hi" (1996)\t1996\t\n'
    )
    for form, source in (("recbole", tmp_path / "ml.inter"), ("movielens", tmp_path)):
        found = import_file(form, source, tmp_path / form)
        check(found)
        check_details(found)


def test_a_broken_line_of_titles_is_rejected_by_itself(tmp_path: Path) -> None:
    (tmp_path / "ratings.dat").write_text("1::10::5::1\n")
    (tmp_path / "movies.dat").write_text("10::A::B\nbroken\n")
    found = import_file("movielens", tmp_path, tmp_path / "out")
    assert [(reject["line"], reject["reason"]) for reject in found.rejects] == [(2, "1 columns instead of 3")]
    assert found.statistics["rows_read"] == 1


def reviews(edition: int) -> str:
    keys = ("reviewerID", "asin", "overall", "unixReviewTime") if edition < 2023 else ()
    keys = keys or ("user_id", "parent_asin", "rating", "timestamp")
    scale = 1 if edition < 2023 else 1000
    lines = []
    for user, item, rating, time in RATINGS:
        row = dict(zip(keys, (f"A{user:012}", f"B{item:09}", float(rating), time * scale), strict=True))
        lines.append(json.dumps({**row, "reviewText": 'A "good"\none', "helpful": [1, 2], "style": {"Size:": "L"}}))
    return "\n".join(lines) + "\n"


def check_amazon(found: Imported) -> None:
    names = {f"A{user:012}": [f"B{item:09}" for item in items] for user, items in {1: [20, 30, 10], 2: [10]}.items()}
    assert found.histories() == names
    assert found.rows()[0]["timestamps"] == [880000001, 880000002, 880000003]
    assert found.rows()[0]["ratings"] == [4.0, 2.0, 5.0]


@pytest.mark.parametrize("edition", [2014, 2018, 2023])
def test_amazon_reviews(tmp_path: Path, edition: int) -> None:
    (tmp_path / "reviews.json.gz").write_bytes(gzip.compress(reviews(edition).encode()))
    check_amazon(import_file("amazon", tmp_path / "reviews.json.gz", tmp_path / "out"))


@pytest.mark.parametrize("edition", [2014, 2018, 2023])
def test_amazon_ratings(tmp_path: Path, edition: int) -> None:
    lines = ["user_id,parent_asin,rating,timestamp"] if edition == 2023 else []
    for user, item, rating, time in RATINGS:
        first, second = f"A{user:012}", f"B{item:09}"
        if edition == 2018:
            first, second = second, first
        lines.append(f"{first},{second},{rating}.0,{time * 1000 if edition == 2023 else time}")
    (tmp_path / "ratings.csv").write_text("\n".join(lines) + "\n")
    check_amazon(import_file("amazon", tmp_path / "ratings.csv", tmp_path / "out"))


def test_other_reviews_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"who": 1}\n')
    (tmp_path / "a.csv").write_text("1,2,3,4\n")
    with pytest.raises(UserError, match="no Amazon review.*this one has who"):
        import_file("amazon", tmp_path / "a.json", tmp_path / "out")
    with pytest.raises(UserError, match="2014.*2018.*2023.*'1,2,3,4'"):
        import_file("amazon", tmp_path / "a.csv", tmp_path / "out")


def test_sasrec_text_keeps_its_ids(tmp_path: Path) -> None:
    (tmp_path / "ml.txt").write_text("1 3\n1 1\n2 2\n2 1\n2 1\n")
    found = import_file("user_item", tmp_path / "ml.txt", tmp_path / "out")
    assert [(row["user_id"], row["history"]) for row in found.rows()] == [(1, [3, 1]), (2, [2, 1, 1])]
    assert "timestamps" not in found.rows()[0]


def criteo_line(label: str, number: int) -> str:
    integers = ["" if place == 2 else str(number + place) for place in range(13)]
    categories = ["" if place == 5 else f"{number * 31 + place:08x}" for place in range(26)]
    return "\t".join([label, *integers, *categories]) + "\n"


@pytest.mark.parametrize("nulls", ["keep", "fill"])
def test_criteo(tmp_path: Path, nulls: str) -> None:
    (tmp_path / "train.txt").write_text("".join(criteo_line(str(n % 2), n) for n in range(400)))
    found = import_file("criteo", tmp_path / "train.txt", tmp_path / "out", nulls=nulls, valid=0.2, test=0.1)
    splits = {split: found.rows(split) for split in ("train", "valid", "test")}
    rows = sorted((row for part in splits.values() for row in part), key=lambda row: row["I1"])
    assert len(rows) == 400
    assert {split: round(len(part), -1) for split, part in splits.items()} == pytest.approx(
        {"train": 280, "valid": 80, "test": 40}, abs=30
    )
    assert rows[7]["label"] == 1
    assert rows[7]["I2"] == 8
    assert rows[7]["C1"] == f"{7 * 31:08x}"
    assert (rows[7]["I3"], rows[7]["C6"]) == ((None, None) if nulls == "keep" else (0, ""))
    assert found.statistics["clicks"] == 200


def test_criteo_faults_and_the_set_without_labels(tmp_path: Path) -> None:
    broken = criteo_line("1", 2).replace("\t3\t", "\tx\t", 1)
    (tmp_path / "train.txt").write_text(
        criteo_line("1", 1) + criteo_line("2", 1) + broken + criteo_line("", 1) + "1\t2\n"
    )
    found = import_file("criteo", tmp_path / "train.txt", tmp_path / "out")
    assert [(reject["line"], reject["reason"]) for reject in found.rejects] == [
        (2, "the label is neither 0 nor 1"),
        (3, "I2 'x' isn't an integer"),
        (4, "no label"),
        (5, "2 columns instead of 40"),
    ]
    (tmp_path / "test.txt").write_text(criteo_line("1", 1).partition("\t")[2])
    assert "label" not in import_file("criteo", tmp_path / "test.txt", tmp_path / "test").rows()[0]
