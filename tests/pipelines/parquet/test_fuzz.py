"""Damaged files are named, whatever the damage is; the process that reads them goes on."""

from __future__ import annotations

import hashlib
import io
import json
import random
import resource
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from saccade.models.jagged import Jagged
from saccade.pipelines.errors import UserError
from saccade.pipelines.parquet.schema import Column
from saccade.pipelines.parquet.source import Source
from saccade.pipelines.parquet.statistics import integer_range

COLUMNS = (
    Column("user", "integer"),
    Column("items", "integers"),
    Column("name", "string"),
    Column("city", "string"),
    Column("score", "float"),
)
CORRUPTIONS = 500
SECONDS = 60  # for one file, on a machine that is busy with other things


def table(rows: int) -> pa.Table:
    r = random.Random(0)
    return pa.table(
        {
            "user": pa.array(range(rows), pa.int64()),
            "items": pa.array([r.choices(range(1000), k=r.randrange(5)) for _ in range(rows)], pa.list_(pa.int64())),
            "name": pa.array([f"user {r.random()}" for _ in range(rows)]),
            "city": pa.array(r.choices(["Rome", "Paris", "Oslo"], k=rows)).dictionary_encode(),
            "score": pa.array([r.random() for _ in range(rows)], pa.float32()),
        }
    )


def good_files() -> list[tuple[bytes, bool]]:
    """Files of the same rows, and whether their pages have checksums."""
    options: list[dict[str, Any]] = [
        {},
        {"use_dictionary": False, "data_page_version": "2.0"},
        {"data_page_size": 100, "write_batch_size": 8, "store_schema": False},
        {"use_dictionary": False, "column_encoding": {"user": "DELTA_BINARY_PACKED", "name": "DELTA_BYTE_ARRAY"}},
    ]
    files = []
    for number, compression in enumerate(["none", "snappy", "zstd"]):
        for checksums in (True, False):
            file = io.BytesIO()
            option = {**options[(2 * number + checksums) % 4], "compression": compression}
            pq.write_table(table(60), file, row_group_size=20, write_page_checksum=checksums, **option)
            files.append((file.getvalue(), checksums))
    return files


def corrupt(content: bytes, r: random.Random) -> tuple[str, bytes]:
    damaged, size = bytearray(content), len(content)
    footer = size - 8 - int.from_bytes(content[-8:-4], "little")
    kind = r.choice(
        ["cut", "empty", "flips", "swap", "zeros", "insert", "delete", "data", "footer", "footer", "length"]
    )
    first, last = {"data": (4, footer), "footer": (footer, size - 8)}.get(kind, (0, size))
    place, length = r.randrange(first, last), r.randrange(1, 60)
    if kind == "cut":
        del damaged[place:]
    elif kind == "empty":
        damaged.clear()
    elif kind == "swap":
        other = (place + r.randrange(length, size - length)) % size
        one, two = damaged[place : place + length], damaged[other : other + length]
        damaged[place : place + len(two)], damaged[other : other + len(one)] = two, one
    elif kind == "zeros":
        damaged[place : place + length] = bytes(len(damaged[place : place + length]))
    elif kind == "insert":
        damaged[place:place] = r.randbytes(length)
    elif kind == "delete":
        del damaged[place : place + length]
    elif kind == "length":
        damaged[-8:-4] = r.choice([0, 1, size, size - footer - 9, r.randrange(2**32)]).to_bytes(4, "little")
    else:
        for _ in range(r.choice([1, 1, 1, 8])):
            damaged[r.randrange(first, last)] ^= r.choice([1 << r.randrange(8), 0xFF])
    return kind, bytes(damaged)


def read_all() -> None:
    """What the child does: read the files whose names come, and say of each what came of it."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 6 * 2**30, used + 6 * 2**30))
    for line in sys.stdin:
        try:
            source = Source.open(line.strip(), None, COLUMNS)
            integer_range(source, "user")
            digest = hashlib.sha256()
            for name, column in source.read(0, source.rows).columns.items():
                assert isinstance(column, Jagged | torch.Tensor)
                rows = column.unpack() if isinstance(column, Jagged) else [column]
                digest.update(f"{name} {[row.tolist() for row in rows]}".encode())
            answer = [source.rows, digest.hexdigest(), ""]
        except UserError as error:
            answer = [0, "", str(error)]
        except Exception as error:
            answer = [0, "", f"{type(error).__name__} and not UserError: {error}"]
        print(json.dumps(answer), flush=True)


def outcomes(paths: list[Path]) -> list[tuple[int, str, str]]:
    """(rows, digest of the values, error) of each file; a child that ends or stands still is the last file's error."""
    found: list[tuple[int, str, str]] = []
    while len(found) < len(paths):
        rest = paths[len(found) :]
        command = [sys.executable, __file__]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
            try:
                text, _ = child.communicate("".join(f"{path}\n" for path in rest), SECONDS + len(rest))
                ended = f"the process ended with {child.returncode}"
            except subprocess.TimeoutExpired:
                child.kill()
                text, _ = child.communicate()
                ended = "the process stands still"
        found += [tuple(json.loads(line)) for line in text.splitlines()]
        if len(found) < len(paths):
            found.append((0, "", ended))
    return found


def test_no_corruption_ends_the_process_or_stays_unnamed(tmp_path: Path) -> None:
    files = good_files()
    paths, kinds = [], []
    for number in range(len(files) + CORRUPTIONS):
        r = random.Random(number)
        content = files[number % len(files)][0]
        kind, content = ("good", content) if number < len(files) else corrupt(content, r)
        kinds.append(kind)
        paths.append(tmp_path / f"{number:03}-{kind}.parquet")
        paths[-1].write_bytes(content)
    found = outcomes(paths)
    seen: Counter[str] = Counter()
    for number, (path, kind, (rows, digest, error)) in enumerate(zip(paths, kinds, found, strict=True)):
        if error:
            assert kind != "good"
            assert error.startswith(f"{path}: "), path.name
            assert "\n" not in error
            seen["named"] += 1
        elif digest == found[number % len(files)][1]:
            seen["same"] += 1
        else:  # only a checksum tells that a value is another one
            assert rows == 60, path.name
            assert not files[number % len(files)][1], path.name
            seen["other values"] += 1
    assert found[0][0] == 60
    assert seen["named"] > 0.7 * CORRUPTIONS, seen


VALUE = 0x1122334455667788


def constant(path: Path) -> Path:
    pq.write_table(pa.table({"user": pa.array([VALUE] * 30, pa.int64())}), path, row_group_size=10)
    return path


def test_a_footer_that_ends_the_process_is_named(tmp_path: Path) -> None:
    """Statistics of seven bytes for an int64: Arrow throws where nobody catches."""
    path = constant(tmp_path / "part-0.parquet")
    assert Source.open(str(path), None, COLUMNS[:1]).rows == 30
    content, value = path.read_bytes(), VALUE.to_bytes(8, "little")
    length = int.from_bytes(content[-8:-4], "little")
    data, footer = content[: -8 - length], content[-8 - length : -8]
    assert b"\x08" + value in footer
    footer = footer.replace(b"\x08" + value, b"\x07" + value[:7])
    path.write_bytes(data + footer + len(footer).to_bytes(4, "little") + b"PAR1")
    for _ in range(2):
        with pytest.raises(UserError) as error:
            Source.open(str(path), None, COLUMNS[:1])
        assert str(error.value).startswith(f"{path}: damaged: its footer can't be read (")
    assert Source.open(str(constant(path)), None, COLUMNS[:1]).rows == 30


def drifted(kind: str) -> pa.Table:
    rows = table(10)
    return {
        "missing": rows.drop_columns("user"),
        "type": rows.set_column(0, "user", pa.array(["x"] * 10)),
        "list": rows.set_column(0, "user", pa.array([[1]] * 10)),
        "renamed": rows.rename_columns(["users", *rows.column_names[1:]]),
        "twice": rows.append_column("user", rows["user"]),
        "empty": pa.table({}),
    }[kind]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("missing", "no column 'user'; it has items, name, city, score"),
        ("type", "column 'user' has type string, but integer is needed"),
        ("list", "column 'user' has type list<element: int64>, but integer is needed"),
        ("renamed", "no column 'user' (did you mean 'users'?); it has users, items, name, city, score"),
        ("twice", "2 columns are named 'user'; rename all but one"),
        ("empty", "no column 'user'; it has no columns"),
    ],
)
def test_schema_drift_names_the_file(tmp_path: Path, kind: str, expected: str) -> None:
    pq.write_table(table(10), tmp_path / "part-0.parquet")
    pq.write_table(drifted(kind), tmp_path / "part-1.parquet")
    with pytest.raises(UserError) as error:
        Source.open(str(tmp_path), None, COLUMNS)
    wanted = f"{tmp_path}/part-1.parquet: {expected} (as in part-0.parquet: all files need the same columns)"
    assert str(error.value) == wanted


if __name__ == "__main__":
    read_all()
