from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from saccade.pipelines.errors import UserError
from saccade.pipelines.parquet.files import find_files, join, split_path, splits


def write(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"a": [1]}), path)


@pytest.fixture
def data_set(tmp_path: Path) -> Path:
    for name in ("train/part-1.parquet", "train/part-0.parquet", "test/part-0.parquet", "train/day=2/x.PARQUET"):
        write(tmp_path / name)
    for hidden in ("train/_SUCCESS", "train/.part-9.parquet", "train/_delta/part-9.parquet", "train/notes.txt"):
        (tmp_path / hidden).parent.mkdir(exist_ok=True)
        (tmp_path / hidden).write_text("not data")
    return tmp_path


def test_a_folder_gives_its_files_sorted_at_any_depth(data_set: Path) -> None:
    found = find_files(f"{data_set}/train/")
    assert found.names == ("day=2/x.PARQUET", "part-0.parquet", "part-1.parquet")
    assert found.path("part-0.parquet") == found.shown("part-0.parquet") == str(data_set / "train/part-0.parquet")


def test_a_file_is_taken_whatever_its_name(tmp_path: Path) -> None:
    write(tmp_path / "rows.data")
    assert find_files(str(tmp_path / "rows.data")).names == ("rows.data",)


def test_relative_paths_and_the_home_folder(data_set: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(data_set)
    monkeypatch.setenv("HOME", str(data_set))
    assert find_files("test").root == find_files("~/test").root == str(data_set / "test")


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("train/part-*.parquet", ("part-0.parquet", "part-1.parquet")),
        ("train/part-?.parquet", ("part-0.parquet", "part-1.parquet")),
        ("train/part-[1].parquet", ("part-1.parquet",)),
        ("*/part-0.parquet", ("test/part-0.parquet", "train/part-0.parquet")),
        ("**/part-0.parquet", ("test/part-0.parquet", "train/part-0.parquet")),
        ("t*st", ("test/part-0.parquet",)),
        ("train/**", ("day=2/x.PARQUET", "part-0.parquet", "part-1.parquet")),
    ],
)
def test_globs(data_set: Path, pattern: str, names: tuple[str, ...]) -> None:
    assert find_files(f"{data_set}/{pattern}").names == names


def test_uris(data_set: Path) -> None:
    assert find_files(f"file://{data_set}", "train").names == find_files(str(data_set), "train").names
    assert find_files(f"file://{data_set}/train/part-*.parquet").names == ("part-0.parquet", "part-1.parquet")


def test_splits(data_set: Path) -> None:
    assert splits(str(data_set)) == ["train", "test"]
    assert split_path(f"{data_set}/", "test") == f"{data_set}/test"
    with pytest.raises(UserError, match=r"has no valid/ folder, only train/, test/"):
        split_path(str(data_set), "valid")


def test_a_query_stays_at_the_end_of_a_uri() -> None:
    assert join("s3://bucket/key/?region=eu-west-1", "train") == "s3://bucket/key/train?region=eu-west-1"


def test_a_folder_without_splits_is_all_train(data_set: Path) -> None:
    folder = str(data_set / "train")
    assert split_path(folder, "train") == split_path(folder, "predict") == folder
    with pytest.raises(UserError, match="has no test/ folder"):
        split_path(folder, "test")


@pytest.mark.parametrize("path", ["nowhere", "nowhere/part.parquet", "nowhere/x"])
@pytest.mark.parametrize("split", [None, "train"])
def test_a_missing_path_is_shown(tmp_path: Path, path: str, split: str | None) -> None:
    with pytest.raises(UserError) as error:
        find_files(f"{tmp_path}/{path}", split)
    assert str(error.value) == f"{tmp_path}/{path}: no such file or folder: check the path (in a job, data.path)"


def test_nothing_to_read(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(UserError, match=r"the folder holds no \.parquet files"):
        find_files(str(tmp_path))
    for pattern in ("*.parquet", "deeper/*/x.parquet"):
        with pytest.raises(UserError, match=r"no \.parquet file matches"):
            find_files(f"{tmp_path}/{pattern}")


def test_an_unknown_file_system_is_named() -> None:
    with pytest.raises(UserError, match=r"elsewhere://host/data: not a file system that can be opened"):
        find_files("elsewhere://host/data")
