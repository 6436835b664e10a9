import io
import os
import signal
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from saccade.pipelines.parquet import footer_trial
from saccade.pipelines.parquet.footer_check import check
from saccade.pipelines.parquet.footer_trial import FooterTrial


def footer(rows: int) -> tuple[bytes, int, str]:
    file = io.BytesIO()
    pq.write_table(pa.table({"user": list(range(rows)), "items": [[1, 2]] * rows}), file, row_group_size=10)
    content = file.getvalue()
    length = int.from_bytes(content[-8:-4], "little") + 8
    return content[-length:], len(content), str(rows)


@pytest.fixture
def trial() -> Iterator[FooterTrial]:
    trial = FooterTrial()
    yield trial
    trial.close()


def test_one_child_looks_at_many(trial: FooterTrial) -> None:
    assert [trial.fault(*footer(rows)) for rows in (0, 1, 30)] == ["", "", ""]
    child = trial._child
    assert child is not None
    stored, size, _ = footer(30)
    assert "its column chunks overlap or lie outside" in trial.fault(stored, 500, "cut")
    assert "thrift" in trial.fault(b"\x07" + stored[1:], size, "damaged")
    assert trial._child is child


def test_another_child_takes_over(trial: FooterTrial) -> None:
    assert trial.fault(*footer(10)) == ""
    assert trial._child is not None
    os.kill(trial._child.pid, signal.SIGKILL)
    assert trial.fault(*footer(20)) == ""


def test_what_was_sound_is_not_looked_at_again(trial: FooterTrial) -> None:
    assert trial.fault(*footer(10)) == ""
    trial.close()
    assert trial.fault(*footer(10)) == ""
    assert trial._child is None


def test_a_forked_process_has_its_own_child() -> None:
    assert footer_trial.TRIAL.fault(*footer(11)) == ""
    child = footer_trial.TRIAL._child
    pid = os.fork()
    if pid == 0:
        own = footer_trial.TRIAL._child is None and footer_trial.TRIAL.fault(*footer(12)) == ""
        footer_trial.TRIAL.close()
        os._exit(0 if own else 1)
    assert os.waitpid(pid, 0)[1] == 0
    assert footer_trial.TRIAL._child is child
    assert footer_trial.TRIAL.fault(*footer(13)) == ""


@pytest.mark.parametrize(
    ("found", "made", "expected"),
    [
        (b"\x16\x3c", b"\x16\x3a", "its row groups have 30 rows, and all of it 29"),
        (b"\x16\x14", b"\x16\x12", "row group 0 has 10 rows, and 9 values of 'user'"),
        (b"\x18\x04user", b"\x18\x04uses", "row group 0 has 'user' where the schema has 'uses'"),
    ],
)
def test_what_disagrees(found: bytes, made: bytes, expected: str) -> None:
    stored, size, _ = footer(30)  # integers are stored doubled: 30 as 0x3c, and 10 as 0x14
    assert check(stored, size) == ""
    assert check(stored.replace(found, made, 1), size) == expected
