"""Signals to this process itself, without Ray."""

import os
import signal
import time
from pathlib import Path

import pytest

from saccade.plugins.ray import interrupt
from saccade.plugins.ray.interrupt import grace_seconds, interrupt_on_signals, restored_signals, stop_file

SIGNALS = [signal.SIGINT, signal.SIGTERM]


@pytest.mark.parametrize("number", SIGNALS)
def test_the_first_asks_and_the_second_interrupts(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    asked: list[int] = []
    with pytest.raises(KeyboardInterrupt), restored_signals():  # noqa: PT012
        interrupt_on_signals(lambda: not asked.append(1))
        os.kill(os.getpid(), number)
        assert asked == [1]
        os.kill(os.getpid(), number)
    assert asked == [1]
    assert signal.getsignal(number) is before
    assert signal.getitimer(signal.ITIMER_REAL)[0] != pytest.approx(grace_seconds(number), abs=1)


def test_nobody_to_ask_is_an_interrupt_at_once() -> None:
    with pytest.raises(KeyboardInterrupt), restored_signals():  # noqa: PT012
        interrupt_on_signals()
        os.kill(os.getpid(), signal.SIGTERM)


def test_the_grace_time_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interrupt, "INTERRUPT_GRACE_S", 0.2)
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt), restored_signals():  # noqa: PT012
        interrupt_on_signals(lambda: True)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(5)
    assert 0.2 <= time.monotonic() - began < 2


def test_an_end_in_time_is_no_interrupt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interrupt, "INTERRUPT_GRACE_S", 0.2)
    with restored_signals():
        interrupt_on_signals(lambda: True)
        os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0.3)


@pytest.mark.parametrize(("setting", "seconds"), [(None, 2.5), ("10", 9.5), ("rubbish", 2.5), ("0", 0.1)])
def test_the_grace_time_of_ray_job_stop(monkeypatch: pytest.MonkeyPatch, setting: str | None, seconds: float) -> None:
    monkeypatch.delenv("RAY_JOB_STOP_WAIT_TIME_S", raising=False)
    if setting is not None:
        monkeypatch.setenv("RAY_JOB_STOP_WAIT_TIME_S", setting)
    assert grace_seconds(signal.SIGTERM) == seconds


def test_no_order_to_stop_outlives_a_start(tmp_path: Path) -> None:
    (tmp_path / "stop").touch()
    with stop_file(tmp_path) as file:
        assert not file.exists()
        file.touch()
    assert not (tmp_path / "stop").exists()
