import pyarrow as pa
import pytest

from saccade.pipelines.errors import UserError
from saccade.pipelines.parquet.schema import Column, Kind, accepts, check

FILE = "data/part-0.parquet"


@pytest.mark.parametrize(
    ("kind", "found"),
    [
        ("integer", pa.int8()),
        ("integer", pa.uint64()),
        ("integer", pa.bool_()),
        ("float", pa.float16()),
        ("float", pa.float64()),
        ("string", pa.string()),
        ("string", pa.large_string()),
        ("string", pa.dictionary(pa.int32(), pa.string())),
        ("binary", pa.binary()),
        ("binary", pa.binary(16)),
        ("integers", pa.list_(pa.int16())),
        ("integers", pa.large_list(pa.int64())),
        ("floats", pa.list_(pa.float32(), 3)),
    ],
)
def test_takes_every_width_and_sort_of_list(kind: Kind, found: pa.DataType) -> None:
    assert accepts(kind, found)


@pytest.mark.parametrize(
    ("kind", "found"),
    [
        ("integer", pa.float64()),
        ("integer", pa.list_(pa.int64())),
        ("float", pa.int64()),
        ("string", pa.binary()),
        ("binary", pa.string()),
        ("integers", pa.int64()),
        ("integers", pa.list_(pa.float32())),
        ("floats", pa.list_(pa.list_(pa.float32()))),
    ],
)
def test_refuses_other_types(kind: Kind, found: pa.DataType) -> None:
    assert not accepts(kind, found)


def test_a_wrong_type_names_file_column_and_both_types() -> None:
    with pytest.raises(UserError) as error:
        check([Column("history", "integers")], pa.schema({"history": pa.string()}), FILE)
    assert str(error.value) == f"{FILE}: column 'history' has type string, but list of integers is needed"


def test_a_missing_column_names_the_nearest_and_all_there_are() -> None:
    with pytest.raises(UserError) as error:
        check([Column("histroy", "integers")], pa.schema({"user": pa.int64(), "history": pa.list_(pa.int64())}), FILE)
    assert str(error.value) == f"{FILE}: no column 'histroy' (did you mean 'history'?); it has user, history"


def test_a_column_that_is_there_twice_is_refused() -> None:
    with pytest.raises(UserError, match="2 columns are named 'a'"):
        check([Column("a", "integer")], pa.schema([("a", pa.int64()), ("a", pa.int64())]), FILE)
