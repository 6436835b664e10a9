"""SIGINT and SIGTERM at the process that started a run ask it to save and stop first. Importable without ray."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from saccade.pipelines.training.stop import NAME as STOP_FILE

SIGNALS = (signal.SIGINT, signal.SIGTERM)
INTERRUPT_GRACE_S = 30.0
"""How long Ctrl-C waits for the checkpoint; pressed again it waits no longer."""
RAY_STOP_WAIT_S = "RAY_JOB_STOP_WAIT_TIME_S"
"""Ray's own variable, set where its head starts: `ray job stop` sends SIGTERM, and SIGKILL so many seconds later."""

ASKED = "asked to stop: saving first; once more stops at once"


@contextmanager
def stop_file(folder: Path) -> Iterator[Path]:
    """The file that asks a run to stop: absent when the block begins, and no order for the next start when it ends."""
    file = folder / STOP_FILE
    file.unlink(missing_ok=True)
    try:
        yield file
    finally:
        file.unlink(missing_ok=True)


def nobody() -> bool:
    """Nobody can be asked to stop."""
    return False


@contextmanager
def restored_signals() -> Iterator[None]:
    """Put the handlers that this package and ray.init replace back when the block ends."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (*SIGNALS, signal.SIGALRM)}
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGALRM) is not before[signal.SIGALRM]:
            signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)


def interrupt_on_signals(ask: Callable[[], bool] = nobody) -> None:
    """Let SIGINT and SIGTERM ask for a stop, and raise KeyboardInterrupt if that takes long.

    The first signal calls ``ask``. Where that gives False, or the grace time is over, or a second signal comes,
    KeyboardInterrupt is raised; from then on signals change nothing. For use inside :func:`restored_signals`.

    Args:
        ask: called in a signal handler; tells those who train to save and stop, and whether there are such.
    """
    if threading.current_thread() is not threading.main_thread():
        return

    def interrupt(number: int, frame: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for each in SIGNALS:
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt

    def first(number: int, frame: object) -> None:
        if not ask():
            interrupt(number, frame)
        for each in (*SIGNALS, signal.SIGALRM):
            signal.signal(each, interrupt)
        # A timer of the system, because a thread must not be started in a signal handler.
        signal.setitimer(signal.ITIMER_REAL, grace_seconds(number))

    for number in SIGNALS:
        signal.signal(number, first)


def grace_seconds(number: int) -> float:
    """How long a run may take to save after a signal; half a second before Ray's SIGKILL the driver goes."""
    if number == signal.SIGINT:
        return INTERRUPT_GRACE_S
    try:
        wait = float(os.environ.get(RAY_STOP_WAIT_S, "3"))
    except ValueError:
        wait = 3.0
    return max(0.1, wait - 0.5)
