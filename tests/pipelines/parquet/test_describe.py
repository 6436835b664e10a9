import json
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from saccade.pipelines.errors import UserError
from saccade.pipelines.parquet.describe import describe
from saccade.pipelines.parquet.render import render


@pytest.fixture(params=[True, False], ids=["statistics", "no statistics"])
def data_set(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    table = pa.table(
        {
            "user": pa.array([3, None, 5, 4], pa.int32()),
            "history": pa.array([[7, 8], [], None, [1, 2, 3]], pa.list_(pa.int64())),
            "text": ["a", "bcd", "", "ä"],
            "score": [0.5, 2.0, -1.0, 0.0],
            "day": [date(2020, 1, 2), date(2020, 1, 1), None, None],
            "boxes": [[[1.0]], [], [], [[2.0], [3.0]]],
        }
    )
    for split, files in (("train", 2), ("valid", 1), ("items", 1)):
        (tmp_path / split).mkdir()
        for number in range(files):
            file = tmp_path / split / f"part-{number}.parquet"
            pq.write_table(table, file, row_group_size=3, write_statistics=request.param)
    (tmp_path / "notes").mkdir()
    return tmp_path


def test_counts(data_set: Path) -> None:
    described = describe(str(data_set))
    assert list(described["splits"]) == ["train", "valid", "items"]
    train = described["splits"]["train"]
    assert (train["files"], train["rows"], train["row_groups"]) == (2, 8, 4)
    assert 0 < train["compressed_bytes"] < sum(f.stat().st_size for f in (data_set / "train").iterdir())
    columns: dict[str, Any] = train["columns"]
    assert columns["user"] == {"type": "int32", "nulls": 2, "min": 3, "max": 5}
    assert columns["score"] == {"type": "double", "nulls": 0, "min": -1.0, "max": 2.0}
    assert columns["day"] == {"type": "date32[day]", "nulls": 4, "min": "2020-01-01", "max": "2020-01-02"}
    history = columns["history"]
    assert (history["nulls"], history["min"], history["max"]) == (2, 1, 8)
    assert (history["lengths"]["min"], history["lengths"]["max"], history["lengths"]["total"]) == (0, 3, 10)
    assert columns["text"]["lengths"]["total"] == 2 * (1 + 3 + 0 + 2)  # bytes
    assert columns["boxes"]["lengths"]["max"] == 2
    json.dumps(described)


def test_a_file_is_one_split(data_set: Path) -> None:
    assert list(describe(str(data_set / "valid"))["splits"]) == ["all"]
    assert list(describe(f"{data_set}/train/part-?.parquet")["splits"]) == ["all"]


def test_rendered(data_set: Path) -> None:
    text = render(describe(str(data_set)))
    assert text.startswith(f"{data_set}\n\ntrain: 8 rows in 2 files, 4 row groups, ")
    assert "length of history (10 in all)" in text
    assert "2  ████████████████████ 2" in text
    assert "list<int64>" in text


def test_drift_is_named(data_set: Path) -> None:
    pq.write_table(pa.table({"user": ["x"]}), data_set / "train/part-1.parquet")
    with pytest.raises(UserError, match=r"part-1\.parquet: .*'user' has type string and not int32"):
        describe(str(data_set))


def test_damage_is_named(data_set: Path) -> None:
    file = data_set / "valid/part-0.parquet"
    content = bytearray(file.read_bytes())
    content[4:300] = bytes(296)
    file.write_bytes(content)
    with pytest.raises(UserError, match=r"valid/part-0\.parquet: row group 0 can't be read"):
        describe(str(data_set))


def test_public_data(data_folder: Path) -> None:
    for folder in sorted(data_folder.iterdir()):
        assert render(describe(str(folder)))
