from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.servers import Proxy, Web

from saccade.pipelines.parquet import read_ahead, retry
from saccade.pipelines.parquet.files import Files, find_files
from saccade.pipelines.parquet.footer import Footer, read_footer, stored_ranges
from saccade.pipelines.parquet.read_ahead import ReadAhead, merge
from saccade.pipelines.parquet.retry import Patience, RemoteError

NAME = "part-0.parquet"
COLUMNS = ["b", "c", "d"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    columns = {name: [i * 7919 % 100_003 for i in range(60_000)] for name in "abcd"}
    pq.write_table(pa.table(columns), folder / NAME, row_group_size=20_000, compression="none")
    return folder


@pytest.fixture
def line(folder: Path) -> Iterator[Proxy]:
    web = Web(folder)
    proxy = Proxy(web.address, 0.0)
    yield proxy
    proxy.stop()
    web.stop()


@pytest.fixture
def files(line: Proxy) -> Files:
    return find_files(f"http://{line.address}/{NAME}")


@pytest.fixture
def footer(files: Files) -> Footer:
    return read_footer(files, NAME)


def decode(handle: pa.NativeFile, footer: Footer, group: int) -> pa.Table:
    opened = pq.ParquetFile(handle, metadata=footer.metadata, pre_buffer=False, buffer_size=2**16)
    return pa.Table.from_batches(opened.iter_batches(1000, [group], COLUMNS, use_threads=False))


def expected(folder: Path, group: int) -> pa.Table:
    return pq.ParquetFile(folder / NAME).read_row_group(group, COLUMNS)


def test_a_row_group_is_one_request(line: Proxy, files: Files, footer: Footer, folder: Path) -> None:
    ahead = ReadAhead(files)
    for group in range(3):
        asked = len(line.requests)
        handle = ahead.open(NAME, stored_ranges(footer, group, COLUMNS))
        assert decode(handle, footer, group).equals(expected(folder, group))
        assert line.requests[asked:] == [f"HEAD /{NAME}", f"GET /{NAME}"]


def test_what_is_expected_comes_meanwhile(line: Proxy, files: Files, footer: Footer, folder: Path) -> None:
    ahead = ReadAhead(files)
    ranges = [stored_ranges(footer, group, COLUMNS) for group in range(3)]
    ahead.expect(NAME, ranges[1])
    ahead.expect(NAME, ranges[1])
    assert decode(ahead.open(NAME, ranges[1]), footer, 1).equals(expected(folder, 1))
    # Another one is opened than was expected.
    ahead.expect(NAME, ranges[2])
    assert decode(ahead.open(NAME, ranges[0]), footer, 0).equals(expected(folder, 0))


def test_large_row_groups_are_not_held(
    files: Files, footer: Footer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read_ahead, "_LIMIT", 1000)
    handle = ReadAhead(files).open(NAME, stored_ranges(footer, 2, COLUMNS))
    assert decode(handle, footer, 2).equals(expected(folder, 2))


def test_faults_in_the_background_show_where_it_is_opened(
    line: Proxy, files: Files, footer: Footer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "PATIENCE", Patience(attempts=2, first_wait=0.01))
    line.dead_after = 0
    ahead = ReadAhead(files)
    ahead.expect(NAME, stored_ranges(footer, 0, ["b"]))
    with pytest.raises(RemoteError, match=rf"{NAME}: can't be read after 2 attempts"):
        ahead.open(NAME, stored_ranges(footer, 0, ["b"]))


def test_local_files_are_just_opened(folder: Path) -> None:
    files = find_files(str(folder))
    footer = read_footer(files, NAME)
    ahead = ReadAhead(files)
    ahead.expect(NAME, stored_ranges(footer, 0, COLUMNS))
    assert decode(ahead.open(NAME, stored_ranges(footer, 0, COLUMNS)), footer, 0).equals(expected(folder, 0))


@given(st.lists(st.tuples(st.integers(0, 10**7), st.integers(0, 10**6)), max_size=20))
def test_merged_ranges_cover_all_and_lie_apart(found: list[tuple[int, int]]) -> None:
    ranges = [(start, start + length) for start, length in found]
    merged = merge(ranges)
    assert all(any(a <= start and stop <= b for a, b in merged) for start, stop in ranges)
    assert all(after[0] - before[1] > 2**20 for before, after in pairwise(merged))
    assert sum(stop - start for start, stop in merged) <= sum(stop - start for start, stop in ranges) + 20 * 2**20
