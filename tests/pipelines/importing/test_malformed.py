"""Files that are damaged or not what they should be: every row is in the data, in the rejects, or there is an error."""

from __future__ import annotations

import csv
import gzip
import io
import json
import random
from pathlib import Path
from typing import Any

import pytest
from tests.pipelines.importing.history_import import Imported, contents, import_file

from saccade.pipelines.errors import UserError
from saccade.pipelines.importing.run import Settings

ROWS = 60
ENCODINGS = ["utf-16", "latin-1", "utf-16-le", "utf-32"]


def good_csv() -> bytes:
    random_ = random.Random(0)
    lines = ["user_id,item_id,rating,timestamp,title"]
    for number in range(ROWS):
        title = random_.choice(["plain", '"a, b"', '"two\nlines"', '"say ""hi"""', "über", 'inch 5" x'])
        user, item, rating = random_.randrange(9), random_.randrange(20), random_.randrange(1, 6)
        lines.append(f"u{user},i{item},{rating},{10**9 + number},{title}")
    return "\n".join(lines).encode() + b"\n"


def good_jsonl() -> bytes:
    random_ = random.Random(0)
    rows = (
        {"user_id": f"u{random_.randrange(9)}", "item_id": random_.randrange(20), "timestamp": 10**9 + n, "text": "ü\n"}
        for n in range(ROWS)
    )
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def mutate(data: bytes, random_: random.Random) -> bytes:
    """One of the things that happen to files."""
    at = random_.randrange(1, len(data))
    lines = data.splitlines(keepends=True)
    line = random_.randrange(len(lines))
    kind = random_.randrange(16)
    if kind == 0:
        return data[:at]
    if kind == 1:
        return data[:at] + random_.randbytes(random_.randrange(1, 40)) + data[at:]
    if kind == 2:
        return data[:at] + bytes([data[at] ^ (1 << random_.randrange(8))]) + data[at + 1 :]
    if kind == 3:
        return b"\xef\xbb\xbf" + data
    if kind == 4:
        return data.replace(b"\n", b"\r\n")
    if kind == 5:
        return data.replace(b"\n", b"\r")
    if kind == 6:
        return data[:at] + b"x" * 5_000_000 + data[at:]
    if kind == 7:
        return data[:at] + b"\0" * 3 + data[at:]
    if kind == 8:
        return b"".join([*lines[:line], lines[line].replace(b",", b";"), *lines[line + 1 :]])
    if kind == 9:
        return b"".join([*lines[:line], b"\n\n", *lines[line:]])
    if kind == 10:
        return data.decode(errors="replace").encode(random_.choice(ENCODINGS), errors="replace")
    if kind == 11:
        return data[:at] + b'"' + data[at:]
    if kind == 12:
        return b"".join([*lines[:line], lines[line].rstrip(b"\n") + b",extra,columns\n", *lines[line + 1 :]])
    if kind == 13:
        return random_.randbytes(len(data))
    if kind == 14:
        return gzip.compress(data)[: -random_.randrange(1, 60)]
    return b"".join(random_.sample(lines, len(lines)))


def csv_rows(data: bytes) -> int:
    """How many rows a standard reader finds, without the header."""
    text = io.StringIO(data.decode("utf-8-sig", errors="replace"), newline="")
    return sum(1 for row in csv.reader(text) if row) - 1


def attempt(form: str, source: Path, folder: Path, settings: Settings, **options: Any) -> tuple[Imported | None, str]:
    """What was imported, or the error."""
    try:
        return import_file(form, source, folder, settings, **options), ""
    except UserError as error:
        return None, str(error)


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_no_row_is_lost_whatever_happens_to_the_file(form: str, tmp_path: Path) -> None:
    good = good_csv() if form == "csv" else good_jsonl()
    random_ = random.Random(1)
    imported = refused = exact = 0
    for number in range(70):
        data = mutate(good, random_)
        for _ in range(random_.randrange(3)):
            data = mutate(data, random_) if 100 < len(data) < 1_000_000 else data
        source = tmp_path / f"{number}.{form}"
        source.write_bytes(data)
        outcomes = []
        for block_size in (8 << 20, 97):
            folder = tmp_path / f"{number}-{block_size}"
            if block_size == 97 and len(data) > 100_000:
                continue
            found, error = attempt(form, source, folder, Settings(block_size=block_size), time="timestamp")
            if found is None:
                assert str(source) in error
                assert "\n" not in error
                assert not folder.exists()
                outcomes.append(error)
                continue
            kept = sum(len(row["history"]) for row in found.rows())
            rejected = len(found.rejects)
            assert found.statistics["interactions"] == kept
            assert found.statistics["rejected"] == found.about["rejected"] == rejected
            assert found.statistics["rows_read"] == kept + rejected
            assert all(reject["file"] == str(source) and reject["line"] > 0 for reject in found.rejects)
            outcomes.append(repr(contents(folder)))
            if form == "jsonl":
                text = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").removeprefix(b"\xef\xbb\xbf")
                assert kept + rejected == sum(1 for line in text.split(b"\n") if line)
                exact += 1
            elif not rejected:
                assert kept == csv_rows(data)
                exact += 1
        imported += len(outcomes[0]) > 2000
        refused += len(outcomes[0]) < 2000
        assert len(set(outcomes)) == 1, f"{source} depends on the size of blocks"
    assert imported > 20
    assert refused > 5
    assert exact > 10


def test_every_line_of_a_file_without_quotes_is_accounted_for(tmp_path: Path) -> None:
    good = "".join(f"u{n % 7}\ti{n % 11}\t{n % 5 + 1}\t{1_000_000_000 + n}\n" for n in range(ROWS)).encode()
    random_ = random.Random(2)
    counted = 0
    for number in range(60):
        data = mutate(good, random_)
        source = tmp_path / f"{number}.tsv"
        source.write_bytes(data)
        options = {"user": "1", "item": "2", "rating": "3", "time": "4", "header": False, "quotes": False}
        found, error = attempt("tsv", source, tmp_path / str(number), Settings(), **options)
        if found is None:
            assert str(source) in error
            continue
        text = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").removeprefix(b"\xef\xbb\xbf")
        assert found.statistics["interactions"] + len(found.rejects) == sum(1 for line in text.split(b"\n") if line)
        counted += 1
    assert counted > 30
