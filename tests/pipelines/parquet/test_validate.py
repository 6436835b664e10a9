"""Every fault of a file is found, with its place and its count, whatever else is wrong."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tqdm import tqdm

from saccade.pipelines.errors import UserError
from saccade.pipelines.parquet.files import find_files
from saccade.pipelines.parquet.filter import Condition
from saccade.pipelines.parquet.footer import read_footer
from saccade.pipelines.parquet.schema import Column
from saccade.pipelines.parquet.selection import Selection
from saccade.pipelines.parquet.source import Source
from saccade.pipelines.parquet.validate import file as file_module
from saccade.pipelines.parquet.validate.checksums import has_checksums
from saccade.pipelines.parquet.validate.fault import Fault
from saccade.pipelines.parquet.validate.need import Need
from saccade.pipelines.parquet.validate.nulls import null_rows
from saccade.pipelines.parquet.validate.rules import Finite, Long, Rule, Within
from saccade.pipelines.parquet.validate.split import SplitReport, validate_split

COLUMNS = (Column("user", "integer"), Column("items", "integers"))
RULES: tuple[Rule, ...] = (
    Within("items", "id", 0, 99, "item id", "there are 100", "mend it"),
    Long("items", "short", 2, "too few", "fine"),
)


def table(first: int, rows: int) -> pa.Table:
    users = range(first, first + rows)
    items = [[u % 100, (u + 1) % 100] for u in users]
    return pa.table({"user": pa.array(users, pa.int64()), "items": pa.array(items, pa.list_(pa.int64()))})


def write(path: Path, rows: pa.Table, size: int = 10, checksums: bool = True) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(rows, path, row_group_size=size, write_page_checksum=checksums, compression="zstd")
    return path


def replaced(rows: pa.Table, column: str, changes: dict[int, object]) -> pa.Table:
    values = rows[column].to_pylist()
    for row, value in changes.items():
        values[row] = value
    return rows.set_column(rows.column_names.index(column), column, pa.array(values, rows[column].type))


def look(
    folder: Path,
    columns: Sequence[Column] = COLUMNS,
    rules: Sequence[Rule] = RULES,
    *,
    filter: Sequence[Condition] = (),
    prepare: object = None,
    quick: bool = False,
    optional: Column | None = None,
    present: tuple[str, ...] = (),
    row_groups: int = 0,
) -> SplitReport:
    selection = Selection(tuple(columns), tuple(filter), prepare)  # type: ignore[arg-type]
    need = Need("train", selection, tuple(rules), present, optional, ("label_names",), row_groups)
    with tqdm(total=0, disable=True) as bar:
        return validate_split(str(folder), "train", need, quick=quick, bar=bar)


def places(report: SplitReport) -> dict[tuple[str, str], tuple[tuple[int, ...], int]]:
    """(file, kind) -> the first places and their count."""
    return {(Path(f.file).name, f.kind): (f.places, f.count) for f in report.faults}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(3):
        write(tmp_path / f"part-{number}.parquet", table(30 * number, 30))
    return tmp_path


def test_nothing_is_wrong(folder: Path) -> None:
    for quick in (False, True):
        report = look(folder, quick=quick, row_groups=9)
        assert report.faults == []
        assert (report.files, report.row_groups, report.rows) == (3, 9, 90)
        assert report.ranges == {"user": (0, 89), "items": (0, 90)}


def test_everything_is_wrong_at_once(folder: Path) -> None:
    rows = replaced(table(0, 30), "items", {3: [1], 4: [], 12: [-1, 5], 13: None, 14: [7, None], 29: [100, 2]})
    write(folder / "part-0.parquet", replaced(rows, "user", {2: None}), checksums=False)
    damage(write(folder / "part-1.parquet", table(30, 30)), 1)
    (folder / "part-2.parquet").write_bytes(b"user,items\n")
    write(folder / "part-3.parquet", table(0, 30).rename_columns(["person", "items"]))
    (folder / "part-4.parquet").write_bytes((folder / "part-3.parquet").read_bytes()[:-9])
    write(folder / "part-5.parquet", table(0, 30).append_column("user", pa.array(range(30))))
    write(folder / "part-6.parquet", table(0, 30).set_column(1, "items", pa.array(["x"] * 29 + ["y"])))
    drifted = pa.schema({"user": pa.int32(), "items": pa.large_list(pa.int16())}, {"label_names": '["a"]'})
    write(folder / "part-7.parquet", table(0, 30).cast(drifted))
    found = look(folder)
    assert places(found) == {
        ("part-0.parquet", "no checksums"): ((), 1),
        ("part-0.parquet", "id"): ((12, 29), 2),
        ("part-0.parquet", "short"): ((3, 4), 2),
        ("part-0.parquet", "null"): ((13, 14), 2),  # and one of the users, see below
        ("part-1.parquet", "damaged"): ((1,), 1),
        ("part-2.parquet", "damaged"): ((), 1),
        ("part-3.parquet", "column"): ((), 1),
        ("part-4.parquet", "damaged"): ((), 1),
        ("part-5.parquet", "column"): ((), 1),
        ("part-6.parquet", "column"): ((), 1),
        ("part-7.parquet", "drift"): ((), 1),
    }
    nulls = [fault for fault in found.faults if fault.kind == "null"]
    assert [(fault.places, fault.count) for fault in nulls] == [((2,), 1), ((13, 14), 2)]
    lines = [str(fault) for fault in found.faults]
    assert all(line.startswith(f"{folder}/part-") and "\n" not in line for line in lines)
    for line in (
        "part-0.parquet: 2 rows (12, 29), the first: column 'items' has item id -1, but there are 100: mend it",
        "part-0.parquet row 2: column 'user' has a null: drop the row or fill it",
        "part-3.parquet: no column 'user'; it has person, items",
        "part-5.parquet: 2 columns are named 'user'; rename all but one",
        "part-6.parquet: column 'items' has type string, but list of integers is needed",
        "part-7.parquet: column 'user' has type int32, but int64 in part-0.parquet: both can be read, but write all",
    ):
        assert any(line in each for each in lines), (line, lines)
    assert sum("label_names in the schema's metadata" in line for line in lines) == 1
    warnings = {fault.kind for fault in found.faults if fault.warning}
    assert warnings == {"no checksums", "short", "drift"}


def damage(path: Path, row_group: int) -> None:
    """Flip the last bit of a row group's last column: only the checksum tells."""
    column = pq.read_metadata(path).row_group(row_group).column(1)
    content = bytearray(path.read_bytes())
    content[(column.dictionary_page_offset or column.data_page_offset) + column.total_compressed_size - 1] ^= 1
    path.write_bytes(content)


def test_places_are_counted_and_the_first_are_named(folder: Path) -> None:
    rows = replaced(table(0, 30), "items", {row: [row, 100 + row] for row in range(5, 30)})
    write(folder / "part-1.parquet", rows, size=4)
    (fault,) = look(folder).faults
    assert (fault.places, fault.count) == ((5, 6, 7, 8, 9), 25)
    assert "25 rows (5, 6, 7, 8, 9, …), the first: column 'items' has item id 105, but" in str(fault)


def test_large_row_groups_are_looked_at_slice_by_slice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_module, "_SLICE_BYTES", 500)
    rows = replaced(table(0, 1000), "items", {7: [-5, 1], 990: [1, 500]})
    write(tmp_path / "part-0.parquet", rows, size=1000)
    report = look(tmp_path)
    assert (report.rows, places(report)["part-0.parquet", "id"]) == (1000, ((7, 990), 2))


def test_quick_reads_footers_alone(folder: Path) -> None:
    write(folder / "part-1.parquet", replaced(table(0, 30), "items", {25: [1, 100]}))
    write(folder / "part-2.parquet", replaced(table(0, 30), "user", {25: None, 26: None}))
    damage(folder / "part-0.parquet", 1)
    report = look(folder, quick=True)
    assert places(report) == {("part-1.parquet", "id"): ((2,), 1), ("part-2.parquet", "null"): ((2,), 1)}
    assert "part-2.parquet row group 2: column 'user' has 2 nulls" in str(report.faults[-1])


def test_rows_that_a_filter_leaves_out_have_no_faults(folder: Path) -> None:
    write(folder / "part-1.parquet", replaced(table(30, 30), "items", {5: [-1], 9: [-1], 20: None}))
    above = Condition("user", ">", 36)
    report = look(folder, filter=[above])
    assert places(report) == {
        ("part-1.parquet", "id"): ((9,), 1),
        ("part-1.parquet", "short"): ((9,), 1),
        ("part-1.parquet", "null"): ((20,), 1),
    }
    assert (report.row_groups, report.rows) == (6, 53)
    assert look(folder, filter=[above], quick=True).faults == []
    (nobody,) = look(folder, filter=[Condition("user", ">", 1000)]).faults
    assert nobody.found == "no row passes the filter user > 1000"


def test_a_filter_that_cannot_be_looked_at(folder: Path) -> None:
    write(folder / "part-1.parquet", replaced(table(30, 30), "items", {5: [-1, 2]}))
    damage(folder / "part-0.parquet", 1)
    report = look(folder, filter=[Condition("age", ">", 36)])
    assert {kind for _, kind in places(report)} == {"filter", "damaged"}
    assert sum("no column 'age'" in fault.found for fault in report.faults) == 3


@dataclass(frozen=True)
class Odd:
    """Makes ``items`` of ``user``, and refuses those that 7 divides."""

    reads: Sequence[str] = ("user",)
    writes: Sequence[str] = ("items",)

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        if "user" not in batch.schema.names:
            raise UserError("odd: no column 'user'")
        users = np.asarray(batch.column("user"))
        if len(users) and (users % 7 == 0).any():
            raise UserError(f"odd: {users[users % 7 == 0][0]} won't do")
        items = pa.array([[user, user + 200 * (user == 50)] for user in users.tolist()], pa.list_(pa.int64()))
        return pa.RecordBatch.from_arrays([batch.column("user"), items], ["user", "items"])


def test_what_is_made_is_looked_at(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(folder / "part-0.parquet", table(0, 30).select(["user"]))
    report = look(folder, prepare=Odd())
    refused = [row for row in range(90) if row % 7 == 0]
    counts = [sum(30 * n <= row < 30 * n + 30 for row in refused) for n in range(3)]
    values = [fault for fault in report.faults if fault.kind == "value"]
    assert [(fault.places[0], fault.count) for fault in values] == [(0, counts[0]), (5, counts[1]), (3, counts[2])]
    assert "part-1.parquet: 4 rows (5, 12, 19, 26), the first: odd: 35 won't do" in str(values[1])
    assert places(report)["part-1.parquet", "id"] == ((20,), 1)
    monkeypatch.setattr(file_module, "_TRIED", 2)
    value = next(fault for fault in look(folder, prepare=Odd()).faults if fault.kind == "value")
    assert value.more
    assert "rows or more" in str(value)


def test_a_column_that_a_transform_reads_is_missing(folder: Path) -> None:
    write(folder / "part-1.parquet", table(0, 30).select(["items"]))
    assert [fault.found for fault in look(folder, COLUMNS[1:], prepare=Odd()).faults if fault.kind == "transform"] == [
        "odd: no column 'user'"
    ]
    report = look(folder, (), present=("user",))
    assert [fault.found for fault in report.faults] == ["no column 'user'; it has items"]


def test_an_optional_column_counts_where_all_files_have_it(folder: Path) -> None:
    rule = Within("rate", "rate", 8, 8, "rate", "8 is right", "mend it")
    for number in (0, 1):
        write(folder / f"part-{number}.parquet", table(0, 30).append_column("rate", pa.array([8] * 29 + [9])))
    rate = Column("rate", "integer")
    assert look(folder, rules=[rule], optional=rate).faults == []
    (folder / "part-2.parquet").unlink()
    assert places(look(folder, rules=[rule], optional=rate)) == {
        ("part-0.parquet", "rate"): ((29,), 1),
        ("part-1.parquet", "rate"): ((29,), 1),
    }


def test_numbers_that_are_none(tmp_path: Path) -> None:
    audio = pa.array([[0.1, float("nan")], [], [float("inf")], [0.5]], pa.list_(pa.float32()))
    write(tmp_path / "part-0.parquet", pa.table({"audio": audio}))
    report = look(tmp_path, [Column("audio", "floats")], [Finite("audio")])
    assert places(report) == {("part-0.parquet", "not finite"): ((0, 2), 2)}
    assert "column 'audio' has the value nan" in report.faults[0].found


def test_an_integer_beyond_what_is_read(tmp_path: Path) -> None:
    write(tmp_path / "part-0.parquet", pa.table({"user": pa.array([1, 2**63], pa.uint64())}))
    (fault,) = look(tmp_path, COLUMNS[:1], []).faults
    assert fault.kind == "value"
    assert "'user'" in fault.found


def test_no_files_and_no_rows(tmp_path: Path) -> None:
    (fault,) = look(tmp_path).faults
    assert fault.found.startswith("the folder holds no .parquet files")
    write(tmp_path / "part-0.parquet", table(0, 0))
    (fault,) = look(tmp_path).faults
    assert fault.found == "the files hold no rows"


def test_fewer_row_groups_than_parts(folder: Path) -> None:
    (fault,) = look(folder, row_groups=10).faults
    assert fault.warning
    assert fault.found.startswith("9 row groups are read as 10 parts")


def test_checksums(tmp_path: Path) -> None:
    for number, (options, expected) in enumerate(
        [
            ({"write_page_checksum": True}, True),
            ({"write_page_checksum": False}, False),
            ({"write_page_checksum": True, "use_dictionary": False, "data_page_version": "2.0"}, True),
            ({"write_page_checksum": False, "use_dictionary": False, "compression": "none"}, False),
        ]
    ):
        path = tmp_path / f"{number}.parquet"
        pq.write_table(table(0, 5000), path, **options)
        files = find_files(str(path))
        assert has_checksums(files, files.names[0], read_footer(files, files.names[0]).metadata) == expected


def test_stopping_ends_the_work(folder: Path) -> None:
    files = find_files(str(folder))
    footer = read_footer(files, "part-0.parquet")
    stop = threading.Event()
    stop.set()
    schema = footer.metadata.schema.to_arrow_schema()
    need = Need("train", Selection(COLUMNS))
    validator = file_module.FileValidator(files, "part-0.parquet", footer, need, schema, "part-0.parquet")
    assert validator.decode(lambda: pytest.fail("went on"), stop).rows == 0


def lists(depth: int) -> st.SearchStrategy[object]:
    element: st.SearchStrategy[object] = st.none() | st.integers(0, 9)
    for _ in range(depth):
        element = st.none() | st.lists(element, max_size=3)
    return st.lists(element, max_size=8)


def has_null(value: object) -> bool:
    return value is None or (isinstance(value, list) and any(map(has_null, value)))


@given(st.integers(0, 2).flatmap(lambda depth: st.tuples(st.just(depth), lists(depth))), st.integers(0, 3))
def test_rows_with_nulls(case: tuple[int, list[object]], skip: int) -> None:
    depth, values = case
    type_ = pa.int64()
    for _ in range(depth):
        type_ = pa.list_(type_)
    array = pa.array(values, type_).slice(skip)
    assert null_rows(array).tolist() == [has_null(value) for value in values[skip:]]


def test_nulls_in_dictionaries_and_fixed_lists() -> None:
    dictionary = pa.DictionaryArray.from_arrays(pa.array([0, 1, None, 0]), pa.array(["a", None]))
    assert null_rows(dictionary).tolist() == [False, True, True, False]
    fixed = pa.array([[1, 2], None, [3, None]], pa.list_(pa.int64(), 2))
    assert null_rows(fixed).tolist() == [False, True, True]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(data=st.data())
def test_what_the_reader_refuses_is_found(folder: Path, data: st.DataObject) -> None:
    """Nulls and damage at any place: looked at as a whole, and read to the first of them."""
    nulls = data.draw(st.lists(st.integers(0, 29), max_size=3, unique=True))
    path = write(folder / "part-1.parquet", replaced(table(30, 30), "items", dict.fromkeys(nulls)), size=7)
    if data.draw(st.booleans()):
        content = bytearray(path.read_bytes())
        at = data.draw(st.integers(0, len(content) - 1))
        content[at] ^= 1 << data.draw(st.integers(0, 7))
        path.write_bytes(content)
    look(folder, quick=True)
    faults = [fault for fault in look(folder, rules=[]).faults if not fault.warning]
    try:
        source = Source.open(str(folder), "train", COLUMNS)
        source.read(0, source.rows)
        refused = False
    except UserError:
        refused = True
    assert refused == bool(faults)
    assert {fault.file for fault in faults} <= {str(path)}


def test_a_line() -> None:
    fault = Fault("train", "a.parquet", "x", "found", "mend", unit="row", places=(3,))
    assert str(fault) == "a.parquet row 3: found: mend"
