import pickle
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from saccade.models.jagged import Jagged
from saccade.pipelines.errors import UserError
from saccade.pipelines.parquet import row_group
from saccade.pipelines.parquet.schema import Column
from saccade.pipelines.parquet.source import Source

USER, HISTORY, NAME = Column("user", "integer"), Column("history", "integers"), Column("name", "string")
COLUMNS = (USER, HISTORY, NAME)


def table(first: int, rows: int) -> pa.Table:
    users = range(first, first + rows)
    columns = {
        "user": pa.array(users, pa.int32()),
        "history": pa.array([list(range(u % 4)) for u in users], pa.list_(pa.int64())),
        "name": pa.array([f"user {u}" for u in users], pa.string()),
    }
    return pa.table(columns).replace_schema_metadata({"label_names": '["a", "b"]'})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """30 rows in three files, row groups of 4."""
    for number in range(3):
        pq.write_table(table(10 * number, 10), tmp_path / f"part-{number}.parquet", row_group_size=4)
    return tmp_path


def users(source: Source, first: int, last: int) -> list[int]:
    column = source.read(first, last).columns["user"]
    assert isinstance(column, torch.Tensor)
    return column.tolist()


def message(folder: Path, columns: tuple[Column, ...] = COLUMNS) -> str:
    def open_and_read() -> None:
        source = Source.open(str(folder), None, columns)
        source.read(0, source.rows)

    with pytest.raises(UserError) as error:
        open_and_read()
    assert "\n" not in str(error.value)
    return str(error.value)


def test_opens_from_metadata(folder: Path) -> None:
    source = Source.open(str(folder), None, COLUMNS)
    assert source.rows == 30
    assert [(g.file, g.index, g.first_row, g.rows) for g in source.row_groups[:5]] == [
        (0, 0, 0, 4),
        (0, 1, 4, 4),
        (0, 2, 8, 2),
        (1, 0, 10, 4),
        (1, 1, 14, 4),
    ]
    assert source.files == tuple(str(folder / f"part-{n}.parquet") for n in range(3))
    assert source.bytes == sum(f.stat().st_size for f in folder.iterdir())
    assert source.schema_metadata == {"label_names": '["a", "b"]'}
    assert source.types["user"] == "int32"


@pytest.mark.parametrize(("first", "last"), [(0, 30), (0, 0), (30, 30), (3, 5), (9, 11), (7, 25), (29, 30)])
def test_reads_rows_by_global_number(folder: Path, first: int, last: int) -> None:
    examples = Source.open(str(folder), None, COLUMNS).read(first, last)
    expected = table(0, 30).slice(first, last - first).to_pydict()
    assert examples.rows.tolist() == list(range(first, last))
    assert examples.lengths.tolist() == [1] * (last - first)
    user, history, name = (examples.columns[c.name] for c in COLUMNS)
    assert isinstance(user, torch.Tensor)
    assert isinstance(history, Jagged)
    assert isinstance(name, Jagged)
    assert user.tolist() == expected["user"]
    assert [row.tolist() for row in history.unpack()] == expected["history"]
    assert [bytes(row.tolist()).decode() for row in name.unpack()] == expected["name"]


def test_rows_outside_are_a_programming_error(folder: Path) -> None:
    source = Source.open(str(folder), None, COLUMNS)
    with pytest.raises(IndexError, match="30"):
        source.read(20, 31)


def test_where_names_the_row_inside_its_file(folder: Path) -> None:
    source = Source.open(str(folder), None, COLUMNS)
    assert source.where(0) == f"{folder}/part-0.parquet row 0"
    assert source.where(19) == f"{folder}/part-1.parquet row 9"


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The row groups' numbers in their files, one for each time that one is begun to be decoded."""
    found: list[int] = []
    begin = pq.ParquetFile.iter_batches

    def counted(self: pq.ParquetFile, size: int, groups: list[int], *args: Any, **options: Any) -> Iterator[Any]:
        found.extend(groups)
        return begin(self, size, groups, *args, **options)

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", counted)
    return found


def test_windows_decode_each_row_group_once(folder: Path, decoded: list[int]) -> None:
    cursor = Source.open(str(folder), None, COLUMNS).cursor()
    for first in range(0, 30, 3):
        cursor.read(first, first + 3)
    assert decoded == [0, 1, 2] * 3


@pytest.fixture
def large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Source:
    """500 rows in one row group, which is decoded in slices of about 10."""
    pq.write_table(table(0, 500), tmp_path / "part-0.parquet", write_page_checksum=True)
    source = Source.open(str(tmp_path), None, COLUMNS)
    whole = row_group._decoded_bytes(source.footers[0].metadata, 0, [column.name for column in COLUMNS])
    monkeypatch.setattr(row_group, "_SLICE_BYTES", whole // 50)
    return source


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 500), st.integers(0, 60)), min_size=1, max_size=6))
def test_slices_of_a_large_row_group_are_read_from_anywhere(large: Source, reads: list[tuple[int, int]]) -> None:
    cursor = large.cursor()
    for first, count in reads:
        last = min(first + count, 500)
        examples, expected = cursor.read(first, last), table(first, last - first)
        user, history, name = (examples.columns[c.name] for c in COLUMNS)
        assert examples.rows.tolist() == user.tolist() == expected["user"].to_pylist()  # type: ignore[union-attr]
        assert [row.tolist() for row in history.unpack()] == expected["history"].to_pylist()  # type: ignore[union-attr]
        names = [bytes(row.tolist()).decode() for row in name.unpack()]  # type: ignore[union-attr]
        assert names == expected["name"].to_pylist()


def test_a_large_row_group_is_decoded_once(large: Source, decoded: list[int]) -> None:
    cursor = large.cursor()
    for first in range(120, 500, 7):
        cursor.read(first, min(first + 7, 500))
    assert decoded == [0]
    cursor.read(0, 3)
    assert decoded == [0, 0]


def test_a_cursor_goes_on_after_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_group, "_SLICE_BYTES", 200)
    nulls = table(0, 100).set_column(0, "user", pa.array([None if u == 50 else u for u in range(100)]))
    pq.write_table(nulls, tmp_path / "part-0.parquet")
    cursor = Source.open(str(tmp_path), None, COLUMNS).cursor()
    for _ in range(2):
        with pytest.raises(UserError, match="row 50: column 'user' has a null"):
            cursor.read(40, 60)
    assert len(cursor.read(90, 100)) == len(cursor.read(0, 10)) == 10


def test_goes_to_another_process(folder: Path) -> None:
    source = Source.open(str(folder), None, COLUMNS)
    before = len(pickle.dumps(source))
    source.read(0, 30)
    sent = pickle.dumps(source)
    assert len(sent) == before  # nothing decoded travels
    other = pickle.loads(sent)
    assert other.fingerprint == source.fingerprint
    assert users(other, 8, 12) == [8, 9, 10, 11]


def test_many_files_stay_few_open(tmp_path: Path) -> None:
    for number in range(40):
        pq.write_table(table(number, 1), tmp_path / f"part-{number:02}.parquet")
    source = Source.open(str(tmp_path), None, COLUMNS)
    assert users(source, 0, 40) == list(range(40))
    opened = [link.resolve().name for link in Path("/proc/self/fd").iterdir() if link.resolve().parent == tmp_path]
    assert len(opened) <= 8


def test_fingerprint_knows_content_and_not_place(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    fingerprint = Source.open(str(folder), None, COLUMNS).fingerprint
    copy = tmp_path_factory.mktemp("elsewhere") / "copy"
    shutil.copytree(folder, copy)
    assert Source.open(str(copy), None, COLUMNS).fingerprint == fingerprint
    pq.write_table(table(21, 10), copy / "part-2.parquet", row_group_size=4)
    assert Source.open(str(copy), None, COLUMNS).fingerprint != fingerprint


def test_a_split_is_opened(folder: Path) -> None:
    (folder / "train").mkdir()
    (folder / "part-0.parquet").rename(folder / "train" / "part-0.parquet")
    assert Source.open(str(folder), "train", COLUMNS).rows == 10


def test_schema_drift_names_the_file(folder: Path) -> None:
    drifted = table(0, 3).set_column(0, "user", pa.array(["x", "y", "z"]))
    pq.write_table(drifted, folder / "part-1.parquet")
    assert f"{folder}/part-1.parquet: column 'user' has type string, but integer is needed" in message(folder)
    assert "as in part-0.parquet" in message(folder)


def test_a_missing_column(folder: Path) -> None:
    found = message(folder, (Column("users", "integer"),))
    assert found == f"{folder}/part-0.parquet: no column 'users' (did you mean 'user'?); it has user, history, name"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "an empty file, not Parquet"),
        (b"user,history\n1,2\n", "not a Parquet file (it has 17 bytes and starts with b'user')"),
        (b"PAR1" + bytes(100) + b"\xff\xff\xff\x00PAR1", "damaged: its footer of 16777223 bytes doesn't fit"),
        (b"PAR1" + bytes(100) + b"\x20\x00\x00\x00PAR1", "damaged: its footer can't be read"),
    ],
)
def test_what_is_not_parquet(folder: Path, content: bytes, expected: str) -> None:
    (folder / "part-1.parquet").write_bytes(content)
    assert message(folder).startswith(f"{folder}/part-1.parquet: {expected}")


def test_a_truncated_file(folder: Path) -> None:
    file = folder / "part-1.parquet"
    file.write_bytes(file.read_bytes()[:-100])
    assert f"{file}: a Parquet file that was cut short" in message(folder)


def test_damaged_data_names_file_and_row_group(folder: Path) -> None:
    file = folder / "part-1.parquet"
    pq.write_table(table(10, 10), file, row_group_size=4, write_page_checksum=True)
    column = pq.read_metadata(file).row_group(1).column(0)
    content = bytearray(file.read_bytes())
    content[column.dictionary_page_offset + column.total_compressed_size - 1] ^= 1  # the last bit: only the CRC tells
    file.write_bytes(content)
    assert message(folder).startswith(f"{file}: row group 1 can't be read")


def test_a_file_that_is_gone(folder: Path) -> None:
    source = Source.open(str(folder), None, COLUMNS)
    (folder / "part-2.parquet").unlink()
    assert users(source, 0, 20) == list(range(20))
    with pytest.raises(UserError, match=r"part-2\.parquet: row group 0 can't be read"):
        source.read(20, 30)


def test_a_null_names_file_row_and_column(folder: Path) -> None:
    nulls = table(10, 10).set_column(0, "user", pa.array([1, 2, 3, 4, 5, None, 7, None, 9, 0], pa.int32()))
    pq.write_table(nulls, folder / "part-1.parquet", row_group_size=4)
    assert message(folder) == f"{folder}/part-1.parquet row 5: column 'user' has a null; drop the row or fill it"


def test_no_rows(tmp_path: Path) -> None:
    pq.write_table(table(0, 0), tmp_path / "part-0.parquet")
    assert message(tmp_path) == f"{tmp_path}: the files hold no rows"


def test_empty_files_among_others(folder: Path) -> None:
    pq.write_table(table(0, 0), folder / "part-0.parquet")
    source = Source.open(str(folder), None, COLUMNS)
    assert users(source, 0, 20) == list(range(10, 30))
    assert source.where(0) == f"{folder}/part-1.parquet row 0"


def test_public_data(data_folder: Path) -> None:
    source = Source.open(str(data_folder / "ml1m_sasrec"), "train", [Column("history", "integers")])
    history = source.read(0, source.rows).columns["history"]
    assert isinstance(history, Jagged)
    assert (source.rows, history.layout.total) == (6040, 999_611)


def test_every_truncation_is_found(folder: Path) -> None:
    file = folder / "part-1.parquet"
    content = file.read_bytes()
    for size in range(0, len(content), 61):
        file.write_bytes(content[:size])
        assert str(file) in message(folder)


def test_a_flipped_bit_in_the_data_is_found(folder: Path) -> None:
    file = folder / "part-1.parquet"
    pq.write_table(table(10, 10), file, row_group_size=4, write_page_checksum=True)
    content = file.read_bytes()
    footer = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    expected = Source.open(str(folder), None, COLUMNS).read(10, 20).columns["user"]
    for position in range(4, footer, 23):
        damaged = bytearray(content)
        damaged[position] ^= 1 << position % 8
        file.write_bytes(damaged)
        source = Source.open(str(folder), None, COLUMNS)
        try:
            found = source.read(10, 20).columns["user"]
        except UserError:
            assert f"{file}: row group" in message(folder)
        else:  # what no one reads: a page's own statistics, say
            assert isinstance(found, torch.Tensor)
            assert isinstance(expected, torch.Tensor)
            assert torch.equal(found, expected)
