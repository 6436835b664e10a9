from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from saccade.pipelines.errors import UserError
from saccade.pipelines.examples import Examples
from saccade.pipelines.parquet.schema import Column
from saccade.pipelines.parquet.source import Source
from saccade.pipelines.parquet.statistics import check_ids, first_outside, integer_range

COLUMNS = (Column("item", "integer"), Column("history", "integers"))
HISTORIES = [[5, 2], [], [3], [7, 9], [1], [], [], [], [4, 5000], [2]]


@pytest.fixture(params=[True, False], ids=["statistics", "no statistics"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Source:
    table = pa.table(
        {"item": pa.array(range(10, 20), pa.int16()), "history": pa.array(HISTORIES, pa.list_(pa.int64()))}
    )
    for number in range(2):
        pq.write_table(
            table.slice(5 * number, 5),
            tmp_path / f"part-{number}.parquet",
            row_group_size=3,
            write_statistics=request.param,
        )
    return Source.open(str(tmp_path), None, COLUMNS)


def test_range(source: Source) -> None:
    assert integer_range(source, "item") == (10, 19)
    assert integer_range(source, "history") == (1, 5000)


def test_range_of_nothing(tmp_path: Path) -> None:
    pq.write_table(pa.table({"history": pa.array([[], []], pa.list_(pa.int64()))}), tmp_path / "a.parquet")
    assert integer_range(Source.open(str(tmp_path), None, COLUMNS[1:]), "history") == (0, -1)


def test_first_outside(source: Source) -> None:
    assert first_outside(source, "history", 0, 9) == 8
    assert first_outside(source, "history", 2, 9) == 4
    assert first_outside(source, "history", 1, 5000) is None
    assert first_outside(source, "item", 0, 17) == 8


def test_ids_out_of_range_name_file_and_row(source: Source) -> None:
    check_ids(source, "history", 5001)
    with pytest.raises(UserError) as error:
        check_ids(source, "history", 3000)
    assert str(error.value) == (
        f"{source.files[1]} row 3: column 'history' has item id 5000, but table 'items' has 3000 rows "
        "(ids 0..2999): raise tables.items.rows or set it to auto"
    )


def test_negative_ids(tmp_path: Path) -> None:
    pq.write_table(pa.table({"item": [3, -1, 2]}), tmp_path / "a.parquet")
    with pytest.raises(UserError, match=r"a\.parquet row 1: column 'item' has item id -1.*ids must count from 0"):
        check_ids(Source.open(str(tmp_path), None, COLUMNS[:1]), "item", 10)


def test_decodes_only_where_it_must(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    if source.footers[0].metadata.row_group(0).column(0).statistics is None:
        pytest.skip("everything must be decoded")
    decoded: list[int] = []
    read = Source.read

    def recorded(self: Source, first: int, last: int) -> Examples:
        decoded.append(first)
        return read(self, first, last)

    monkeypatch.setattr(Source, "read", recorded)
    assert first_outside(source, "history", 0, 5000) is None
    assert integer_range(source, "item") == (10, 19)
    assert decoded == [5]  # its lists are all empty, so that there is nothing to have statistics of
