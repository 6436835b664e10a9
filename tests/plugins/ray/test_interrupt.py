"""Ctrl-C, as a terminal sends it (to the driver and all else in its process group), and SIGTERM to the driver."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest


@pytest.mark.slow
@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM])
def test_interrupt_leaves_no_process(tmp_path: Path, signal_number: signal.Signals) -> None:
    # Ray gives each process a session of its own, so they are found by a mark in their environment.
    mark = f"SACCADE_TEST_MARK={tmp_path}"
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    driver = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("interrupted.py")), str(tmp_path)],
        env=environment | {"SACCADE_TEST_MARK": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        text=True,
    )
    try:
        wait_for(lambda: (tmp_path / "started-0").exists() and (tmp_path / "started-1").exists(), 180)
        assert len(marked(mark)) > 3
        # None that only other users of Ray need: each is a process to start.
        assert (tmp_path / "started-0").read_text() == "RayTrainWorker SynchronizationActor TrainController"
        if signal_number == signal.SIGINT:
            os.killpg(driver.pid, signal_number)
        else:
            driver.send_signal(signal_number)
        out, err = driver.communicate(timeout=60)
        assert driver.returncode == 130, err
        assert "Traceback" not in out + err
        wait_for(lambda: not marked(mark), 15)
    finally:
        for process in marked(mark):
            os.kill(process, signal.SIGKILL)


def wait_for(condition: object, seconds: float) -> None:
    assert callable(condition)
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.2)


def marked(mark: str) -> list[int]:
    """The processes that inherited the mark."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (folder / "environ").read_bytes():
                found.append(int(folder.name))
        except OSError:  # ended meanwhile, or another user's
            pass
    return found
