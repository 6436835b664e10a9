"""Files of a plain web server."""

import pickle
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.servers import Proxy, Web

from saccade.pipelines.errors import UserError
from saccade.pipelines.parquet import retry
from saccade.pipelines.parquet.files import find_files
from saccade.pipelines.parquet.retry import Patience
from saccade.pipelines.parquet.schema import Column
from saccade.pipelines.parquet.source import Source

NAMES = ("train/day=1/part-1.parquet", "train/part-0.parquet")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number, name in enumerate(NAMES):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table({"a": list(range(number, 500))}), path, row_group_size=100)
    (tmp_path / "train/_SUCCESS").write_text("")
    return tmp_path


@pytest.fixture
def web(folder: Path) -> Iterator[Web]:
    server = Web(folder)
    yield server
    server.stop()


def values(path: str, split: str | None = None) -> list[int]:
    source = pickle.loads(pickle.dumps(Source.open(path, split, [Column("a", "integer")])))
    column = source.read(0, source.rows).columns["a"]
    found: list[int] = column.tolist()
    return found


def test_a_folder_is_found_by_its_pages_of_links(web: Web, folder: Path) -> None:
    assert find_files(f"http://{web.address}/").names == NAMES
    assert values(f"http://{web.address}", "train") == values(str(folder), "train")
    assert find_files(f"http://{web.address}/train/part-*.parquet").names == ("part-0.parquet",)


def test_a_query_is_sent_and_never_shown(web: Web) -> None:
    proxy = Proxy(web.address, 0.0)
    url = f"http://{proxy.address}/train/part-0.parquet"
    found = Source.open(f"{url}?signature=a/b", None, [Column("a", "integer")])
    assert (found.files, found.found.names) == ((url,), ("part-0.parquet",))
    assert found.read(0, found.rows).columns["a"].tolist() == list(range(1, 500))
    assert all(request.endswith("?signature=a/b") for request in proxy.requests)
    with pytest.raises(UserError, match=r"/none.parquet: no such file or folder: check the path"):
        find_files(f"http://{proxy.address}/none.parquet?signature=a/b")
    proxy.stop()


def test_a_bad_line_changes_nothing(web: Web, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "PATIENCE", Patience(first_wait=0.02, longest_wait=0.2))
    proxy = Proxy(web.address, 0.3)
    assert values(f"http://{proxy.address}/train") == values(f"{folder}/train")
    assert len(proxy.faults) > 2
    proxy.stop()


def test_faults_that_last_are_told_at_once(web: Web, folder: Path) -> None:
    with pytest.raises(UserError, match=r"/secret.parquet: can't be looked at after 1 attempt \(access denied"):
        find_files(f"http://{web.address}/secret.parquet")
    rangeless = Web(folder, ranges=False)
    pq.write_table(pa.table({"a": list(range(50_000))}), folder / "large.parquet")
    with pytest.raises(UserError, match=r"can't be read after 1 attempt \(.*a range of bytes"):
        values(f"http://{rangeless.address}/large.parquet")
    rangeless.stop()
