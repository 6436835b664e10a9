"""Tables and JSON lines: columns, times, rejects, and what is said when something is wrong."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from tests.pipelines.importing.history_import import import_file

from saccade.pipelines.errors import UserError
from saccade.pipelines.importing.lines import LONGEST_LINE
from saccade.pipelines.importing.run import Settings

GOOD = "user_id,item_id,when\na,x,5\na,y,3\nb,x,1\n"
WANTED = {"a": ["y", "x"], "b": ["x"]}


def write(folder: Path, text: str | bytes, name: str = "events.csv") -> Path:
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder / name


def test_ways_to_write_the_same_table(tmp_path: Path) -> None:
    ways: dict[str, tuple[str, str | bytes, dict[str, Any]]] = {
        "plain": ("csv", GOOD, {}),
        "crlf": ("csv", GOOD.replace("\n", "\r\n"), {}),
        "old mac": ("csv", GOOD.replace("\n", "\r"), {}),
        "mark": ("csv", b"\xef\xbb\xbf" + GOOD.encode(), {}),
        "no last line end": ("csv", GOOD.rstrip(), {}),
        "empty lines": ("csv", "\n\n" + GOOD.replace("\n", "\n\n"), {}),
        "quotes": ("csv", GOOD.replace("x", '"x"').replace("when", '"when"'), {}),
        "spaces": ("csv", GOOD.replace(",", " , "), {}),
        "tabs": ("tsv", GOOD.replace(",", "\t"), {}),
        "bars": ("csv", GOOD.replace(",", "|"), {"separator": "|"}),
        "long separator": ("csv", GOOD.replace(",", "::"), {"separator": "::"}),
        "gzip": ("csv", gzip.compress(GOOD.encode()), {}),
        "zstd": ("csv", pa.compress(GOOD.encode(), "zstd", asbytes=True), {}),
        "more columns": ("csv", "z,item_id,user_id,when\n9,x,a,5\n9,y,a,3\n9,x,b,1\n", {}),
        "no header": ("csv", GOOD.partition("\n")[2], {"header": False, "user": "1", "item": "2", "time": "3"}),
        "json": (
            "jsonl",
            '{"user_id": "a", "item_id": "x", "when": 5}\n'
            '{"when": 3, "item_id": "y", "user_id": "a", "more": {"a": [1, null]}}\n'
            '{"user_id": "b", "item_id": "x", "when": 1.0}\n',
            {},
        ),
    }
    for name, (form, text, options) in ways.items():
        found = import_file(form, write(tmp_path, text), tmp_path / name, **{"time": "when", **options})
        assert found.histories() == WANTED, name
        assert not found.rejects, name


def test_several_files_each_with_its_own_header(tmp_path: Path) -> None:
    write(tmp_path, GOOD, "a.csv")
    write(tmp_path, "when,user_id,item_id\n2,b,z\nbad\n", "b.csv")
    found = import_file("csv", tmp_path / "?.csv", tmp_path / "out", time="when")
    assert found.histories() == {"a": ["y", "x"], "b": ["x", "z"]}
    assert [(Path(reject["file"]).name, reject["line"]) for reject in found.rejects] == [("b.csv", 3)]


@pytest.mark.parametrize(
    ("unit", "times"),
    [
        ("seconds", ["1577836800", "1577836801.5", "1577836802"]),
        ("seconds", ["1577836800.0", "1.5778368015e9", "1577836802"]),
        ("milliseconds", ["1577836800000", "1577836801500", "1577836802000"]),
        ("microseconds", ["1577836800000000", "1577836801500000", "1577836802000000"]),
        ("nanoseconds", ["1577836800000000000", "1577836801500000000", "1577836802000000000"]),
        ("iso", ["2020-01-01", "2020-01-01T00:00:01.5", "2020-01-01 00:00:02"]),
        ("iso", ["2020-01-01T00:00:00Z", "2020-01-01T01:00:01.500+01:00", "2019-12-31 23:00:02-0100"]),
        ("%d/%m/%Y %H.%M.%S", ["01/01/2020 00.00.00", "01/01/2020 00.00.01", "01/01/2020 00.00.02"]),
    ],
)
def test_times(tmp_path: Path, unit: str, times: list[str]) -> None:
    rows = "".join(f"a,{item},{time}\n" for item, time in reversed(list(zip("xyz", times, strict=True))))
    source = write(tmp_path, f"user_id,item_id,when\n{rows}")
    for given in (unit,) if "%" in unit else (unit, "auto"):
        found = import_file("csv", source, tmp_path / given[:4], time="when", time_format=given)
        assert found.rows()[0]["timestamps"] == [1577836800, 1577836801, 1577836802]
        assert found.histories() == {"a": ["x", "y", "z"]}


def test_every_fault_of_a_row_has_its_reason_and_its_line(tmp_path: Path) -> None:
    source = write(
        tmp_path,
        b"user_id,item_id,when,stars,text\n"
        b"a,x,1,5,fine\n"
        b"a,x,1\n"
        b",x,1,5,t\n"
        b'a," ",1,5,t\n'
        b"a,x,soon,5,t\n"
        b"a,x,,5,t\n"
        b"a,x,1,nan,t\n"
        b"a,\xff,1,5,t\n"
        b'a,x,1,5,"two\nlines"\n'
        b'a,"x\ny",1,5,t\n'
        b'a,x,1,5,"open\n'
        b"a,x,1e30,5,t\n"
        b"a,x\0,1,5,t\n"
        b"a\xff,1\n"
        b"b,y,2,4,fine\n",
    )
    found = import_file("csv", source, tmp_path / "out", time="when", rating="stars", time_format="seconds")
    assert [(reject["line"], reject["reason"]) for reject in found.rejects] == [
        (3, "3 columns instead of 5"),
        (4, "no user"),
        (5, "no item"),
        (6, "time 'soon' isn't a number"),
        (7, "no time"),
        (8, "rating 'nan' isn't a number"),
        (9, "item isn't UTF-8"),
        (12, "item has a line break in it"),
        (14, "a quote that isn't closed before a separator or a line end"),
        (15, "time '1e30' is beyond the year 2255 in seconds"),
        (16, "item has a NUL byte in it"),
        (17, "2 columns instead of 5"),
    ]
    assert found.rejects[0]["text"] == "a,x,1"
    assert found.statistics["interactions"] == 3


def test_faults_of_json_lines(tmp_path: Path) -> None:
    lines = [
        b'{"user_id": 1, "item_id": "x"}',
        b'{"user_id": 1, "item_id": ',
        b"[1]",
        b'{"user_id": null, "item_id": "x"}',
        b'{"user_id": 1}',
        b'{"user_id": 1, "item_id": ["x"]}',
        b'{"user_id": true, "item_id": "x"}',
        b'{"user_id": "\xff", "item_id": "x"}',
        b'{"user_id": "\\ud800", "item_id": "x"}',
        b'{"user_id": "two", "item_id": 7}',
    ]
    found = import_file("jsonl", write(tmp_path, b"\n".join(lines), "a.jsonl"), tmp_path / "out")
    assert [reject["line"] for reject in found.rejects] == [2, 3, 4, 5, 6, 7, 8, 9]
    reasons = [reject["reason"] for reject in found.rejects]
    assert "isn't JSON" in reasons[0]
    assert reasons[1:5] == ["isn't a JSON object", "no user", "no item", "'item_id' is neither text nor a number"]
    assert found.histories() == {"1": ["x"], "two": ["7"]}


def test_a_line_without_end_is_rejected_and_what_follows_is_read(tmp_path: Path) -> None:
    long = "a," + "x" * (LONGEST_LINE + 10)
    source = write(tmp_path, f"user_id,item_id\na,x\n{long}\nb,y\n")
    for block_size in (1 << 16, 64 << 20):
        found = import_file("csv", source, tmp_path / str(block_size), Settings(block_size=block_size))
        assert found.histories() == {"a": ["x"], "b": ["y"]}
        assert [(reject["line"], len(reject["text"])) for reject in found.rejects] == [(3, 200)]


def test_strict_stops_at_the_first_bad_row_and_leaves_nothing(tmp_path: Path) -> None:
    source = write(tmp_path, GOOD + "c,z\nd,z\n")
    with pytest.raises(UserError, match=r"events.csv line 5: 2 columns instead of 3: 'c,z' \(--strict"):
        import_file("csv", source, tmp_path / "out", Settings(strict=True))
    assert [path.name for path in tmp_path.iterdir()] == ["events.csv"]


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("", {}, "is empty, without even the names of columns"),
        ("\n\n", {}, "is empty, without even the names of columns"),
        ("", {"header": False, "user": "1", "item": "2"}, "there is no row to import"),
        ("user_id,item_id\n", {}, "there is no row to import"),
        ("user_id,item_id\n1\n2\n", {}, "no row is valid; all 2 were rejected, the first: .* line 2: 1 column instead"),
        ("user,item\n1,2\n", {}, "has no column 'user_id': did you mean 'user'. It has 'user', 'item'"),
        ("a;b\n1;2\n", {}, "has no column 'user_id': It has 'a;b'; only one, so look at --separator"),
        ("user_id,user_id,item_id\n1,2,3\n", {}, "column 'user_id' is there 2 times"),
        ("a,b\n1,2\n", {"user": "a", "item": "a"}, "column 'a' is named twice"),
        (GOOD, {"min_user": 9}, "no interaction is left with --min-user 9"),
        (GOOD, {"positive": 3.0}, "--positive needs ratings"),
        (GOOD, {"time_format": "years"}, "--time-format is 'years'"),
        (GOOD, {"separator": ""}, "--separator is ''"),
        (GOOD, {"min_item": 0}, "--min-item is 0"),
        (b"\xff\xfeu\0s\0", {}, "is UTF-16"),
        (b"PAR1....", {}, "is Parquet already"),
        (b"PK\x03\x04....", {}, "is a zip archive"),
        (gzip.compress(GOOD.encode())[:-12], {}, "can't be read"),
    ],
)
def test_what_is_wrong_with_a_table(tmp_path: Path, text: str | bytes, options: dict[str, Any], message: str) -> None:
    source = write(tmp_path, text)
    with pytest.raises(UserError, match=message) as error:
        import_file("csv", source, tmp_path / "out", **options)
    assert "\n" not in str(error.value)
    assert [path.name for path in tmp_path.iterdir()] == ["events.csv"]


def test_sources_that_are_no_file(tmp_path: Path) -> None:
    for source, message in ((tmp_path / "none.csv", "no such file"), (tmp_path, "is a folder: name a file")):
        for form in ("csv", "jsonl", "user_item", "amazon", "criteo"):
            with pytest.raises(UserError, match=message):
                import_file(form, source, tmp_path / "out")
    with pytest.raises(UserError, match="no such file or folder"):
        import_file("movielens", tmp_path / "none", tmp_path / "out")
    with pytest.raises(UserError, match="should have one of u.data"):
        import_file("movielens", tmp_path, tmp_path / "out")
    with pytest.raises(UserError, match="should have one .inter file"):
        import_file("recbole", tmp_path, tmp_path / "out")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '{"user": 1, "item_id": 2}\n',
            "has no key 'user_id': did you mean 'user'. The first object has 'user', '",
        ),
        ("[\n", "is one JSON array"),
        ("{\n", "line 1: isn't JSON"),
        ("", "there is no line with a JSON object"),
    ],
)
def test_what_is_wrong_with_json(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        import_file("jsonl", write(tmp_path, text, "a.jsonl"), tmp_path / "out")


def test_numbers_and_text_may_mix_in_json(tmp_path: Path) -> None:
    """Blocks that pyarrow can't read at once come out as those that it can."""
    users = [n % 3 if n % 5 else str(n % 3) for n in range(50)]
    items = [float(n % 4) if n % 7 else n % 4 for n in range(50)]
    rows = [{"user_id": user, "item_id": item, "when": item} for user, item in zip(users, items, strict=True)]
    source = write(tmp_path, "".join(json.dumps(row) + "\n" for row in rows), "a.jsonl")
    small, large = (
        import_file("jsonl", source, tmp_path / str(size), Settings(block_size=size), time="when")
        for size in (60, 9999)
    )
    assert small.rows() == large.rows()
    assert large.statistics["interactions"] == 50
    assert set(large.histories()) == {0, 1, 2}
