"""Lines that find no room wait for the next one."""

import os
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from saccade.pipelines.records.line_file import LineFile


@contextmanager
def disk_of(size: int) -> Iterator[None]:
    """No file of this process may grow beyond ``size`` bytes; the system says EFBIG, and writes what fits."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)


def test_lines_are_there_at_once(tmp_path: Path) -> None:
    file = LineFile(tmp_path / "a")
    file.append("één\n")
    assert (tmp_path / "a").read_text() == "één\n"
    file.append("two\n")
    assert (tmp_path / "a").read_text() == "één\ntwo\n"


def test_half_a_line_is_taken_back_and_comes_with_the_next(tmp_path: Path) -> None:
    path = tmp_path / "a"
    file = LineFile(path)
    file.append("12345\n")
    with disk_of(10):
        file.append("67890\n")  # four bytes of it fit
    assert path.read_text() == "12345\n"
    file.append("more\n")
    assert path.read_text() == "12345\n67890\nmore\n"


def test_a_full_device(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.symlink_to("/dev/full")
    file = LineFile(path)
    file.append("one\n")
    path.unlink()
    file.append("two\n")
    assert path.read_text() == "one\ntwo\n"
    assert os.path.getsize(path) == 8
