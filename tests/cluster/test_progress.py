"""Progress on a real terminal (a pty) and in a plain file."""

import fcntl
import io
import os
import pty
import struct
import subprocess
import sys
import termios
import threading
import time
from pathlib import Path

import pytest

from saccade.cluster.progress import count, duration, follow
from saccade.pipelines.records.progress import Progress


def train(folder: Path, pause: float = 0.05) -> None:
    """What a short run writes."""
    progress = Progress(folder, seconds_between=0)
    for step in (1, 2, 3):
        progress.update(
            phase="training",
            step=step,
            epoch=step / 10,
            epochs=40,
            fraction=step / 400,
            loss=4.2131,
            events_per_second=84123.0,
            eta_seconds=250.0,
        )
        time.sleep(pause)
    progress.message("valid/ndcg@10 0.1234 at epoch 1")
    progress.update(phase="evaluating")
    time.sleep(pause)
    progress.update(phase="done", fraction=1.0, eta_seconds=0.0)


def test_plain_lines(tmp_path: Path) -> None:
    stream = io.StringIO()
    with follow(tmp_path, stream=stream, poll=0.01):
        train(tmp_path)
    out = stream.getvalue()
    assert "\r" not in out
    lines = out.splitlines()
    assert lines[0] == "starting"
    training = "training  epoch 0.1/40  step 1  loss 4.213  84.1k events/s  0 % done, ETA 4m10s"
    assert lines[1] == training
    assert lines[2].endswith("INFO valid/ndcg@10 0.1234 at epoch 1")
    assert lines[3] == "evaluating  epoch 0.3/40  step 3  loss 4.213  84.1k events/s  1 % done, ETA 4m10s"
    assert lines[4] == "done  epoch 0.3/40  step 3  loss 4.213  84.1k events/s"
    assert len(lines) == 5


def test_plain_lines_come_at_the_interval(tmp_path: Path) -> None:
    stream = io.StringIO()
    with follow(tmp_path, stream=stream, poll=0.01, plain_interval=0.0):
        train(tmp_path)
    assert [line.split("  ")[2] for line in stream.getvalue().splitlines() if line.startswith("training")] == [
        "step 1",
        "step 2",
        "step 3",
    ]


def test_the_end_is_shown_however_quick(tmp_path: Path) -> None:
    stream = io.StringIO()
    with follow(tmp_path / "new", stream=stream, poll=60):
        train(tmp_path / "new", pause=0)
    lines = stream.getvalue().splitlines()
    assert lines[0] == "starting"
    assert lines[1].endswith("INFO valid/ndcg@10 0.1234 at epoch 1")
    assert lines[2].startswith("done")


def test_what_an_earlier_start_left_is_not_shown(tmp_path: Path) -> None:
    train(tmp_path, pause=0)
    stream = io.StringIO()
    with follow(tmp_path, stream=stream, poll=0.01):
        time.sleep(0.05)
    assert stream.getvalue() == "starting\n"


def read_all(descriptor: int, seen: list[bytes]) -> None:
    """Read a terminal's master end until nobody holds the other."""
    try:
        while data := os.read(descriptor, 4096):
            seen.append(data)
    except OSError:  # how Linux says that the other end is closed
        pass


@pytest.mark.parametrize("columns", [0, 40, 120])
def test_a_bar_on_a_terminal(tmp_path: Path, columns: int) -> None:
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 25, columns, 0, 0))
    seen: list[bytes] = []
    reader = threading.Thread(target=read_all, args=(master, seen))
    reader.start()
    with os.fdopen(slave, "w") as terminal, follow(tmp_path, stream=terminal, poll=0.01):
        train(tmp_path)
    reader.join()
    os.close(master)
    out = b"".join(seen).decode()
    assert "\r" in out
    # The message stands on a line of its own, and the bar is drawn again below it.
    assert any(line.endswith("INFO valid/ndcg@10 0.1234 at epoch 1") for line in out.replace("\r", "\n").split("\n"))
    assert "training" in out
    assert "100 %" in out
    if columns != 40:
        step = "step 3  " if columns == 120 else ""
        assert f"epoch 0.3/40  {step}loss 4.213  84.1k events/s  ETA 4m10s" in out


def test_following_imports_nothing_heavy() -> None:
    code = (
        "import sys, saccade.cluster.progress as p, pathlib\n"
        "with p.follow(pathlib.Path('/nonexistent')): pass\n"
        "print([name for name in ('torch', 'ray', 'pyarrow', 'pydantic') if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert run.stdout == "[]\n"
    assert run.stderr == "starting\n"


def test_numbers_are_short() -> None:
    assert [count(n) for n in (0, 950, 999.7, 84123, 999_960, 1_234_567)] == [
        "0",
        "950",
        "1.0k",
        "84.1k",
        "1.0M",
        "1.2M",
    ]
    assert [duration(s) for s in (0, 59.4, 59.6, 250, 3720, 90000)] == ["0s", "59s", "1m00s", "4m10s", "1h02m", "1d01h"]
