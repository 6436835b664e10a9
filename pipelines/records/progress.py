"""How far a run is, written where anybody who sees its folder can read it.

Rank 0 writes two files: ``progress.json``, replaced as a whole about once a second (the state for a bar), and
``log.txt``, which only grows (messages for people). Files rather than calls, because the driver, a second terminal and
`ray job logs` all want to watch, and none of them may slow or stop the training.
"""

from __future__ import annotations

import json
import os
import time
from collections import deque
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from saccade.pipelines.records.line_file import FULL, LineFile

Phase = Literal["starting", "training", "evaluating", "saving", "stopped", "done", "failed"]


class Progress:
    """Writes a run's progress; on ranks other than 0 (no folder) does nothing.

    Args:
        folder: the run's folder, made if missing; None for a rank that writes nothing.
        seconds_between: the least time between two writes of ``progress.json`` within one phase.
    """

    def __init__(self, folder: Path | None, seconds_between: float = 1.0) -> None:
        self._folder = folder
        self._seconds_between = seconds_between
        self._written = float("-inf")
        self._state: dict[str, Any] = {
            "phase": None,
            "step": 0,
            "epoch": 0.0,
            "epochs": None,
            "fraction": 0.0,
            "loss": None,
            "events_per_second": None,
            "eta_seconds": None,
        }
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            self._log = LineFile(folder / "log.txt")

    def update(
        self,
        *,
        phase: Phase | None = None,
        step: int | None = None,
        epoch: float | None = None,
        epochs: float | None = None,
        fraction: float | None = None,
        loss: float | None = None,
        events_per_second: float | None = None,
        eta_seconds: float | None = None,
    ) -> None:
        """Take in what changed; what is left out keeps its last value. A new phase is written at once.

        Args:
            phase: what the run is doing.
            step: optimizer steps taken.
            epoch: epochs done, with a fraction.
            epochs: epochs in all.
            fraction: the part of the whole run that is done, 0 to 1.
            loss: the latest training loss.
            events_per_second: training throughput.
            eta_seconds: seconds left.
        """
        if self._folder is None:
            return
        given = {
            "phase": phase,
            "step": step,
            "epoch": epoch,
            "epochs": epochs,
            "fraction": fraction,
            "loss": loss,
            "events_per_second": events_per_second,
            "eta_seconds": eta_seconds,
        }
        new_phase = phase is not None and phase != self._state["phase"]
        self._state.update((key, value) for key, value in given.items() if value is not None)
        now = time.monotonic()
        if new_phase or now - self._written >= self._seconds_between:
            self._written = now
            self._replace(self._folder / "progress.json")

    def message(self, text: str, level: str = "INFO") -> None:
        """Append one line to ``log.txt``; a text of several lines is joined into one."""
        if self._folder is None:
            return
        stamp = datetime.now().strftime("%Y-%m-%d %H:%M:%S")
        line = " ".join(text.split("\n"))
        self._log.append(f"{stamp} {level} {line}\n")

    def _replace(self, path: Path) -> None:
        temporary = path.with_suffix(".json.tmp")
        try:
            temporary.write_text(json.dumps({**self._state, "time": time.time()}), encoding="utf-8")
            os.replace(temporary, path)
        except OSError as error:  # on a full disk the last state stays; there will be a next one
            if error.errno not in FULL:
                raise


class Rate:
    """Throughput over the last seconds of training, and the time that is left.

    Args:
        window: seconds of training that the throughput looks back over.
    """

    def __init__(self, window: float = 20.0) -> None:
        self._window = window
        self._recent: deque[tuple[int, float]] = deque()
        self._events = 0
        self._seconds = 0.0
        self._begin: tuple[float, float] | None = None

    def add(self, events: int, seconds: float) -> None:
        """Count the events of a step that took so many seconds (evaluation and saving don't count)."""
        self._recent.append((events, seconds))
        self._events += events
        self._seconds += seconds
        while len(self._recent) > 1 and self._seconds - self._recent[0][1] >= self._window:
            old_events, old_seconds = self._recent.popleft()
            self._events -= old_events
            self._seconds -= old_seconds

    @property
    def events_per_second(self) -> float | None:
        """Events a second over the window; None before the first step."""
        return self._events / self._seconds if self._seconds > 0 else None

    def eta_seconds(self, fraction: float, now: float | None = None) -> float | None:
        """Seconds until the fraction done reaches 1, at the pace since this was first asked.

        Wall time, evaluations included. A resumed run begins at its own fraction, so the time before doesn't count.

        Args:
            fraction: the part of the run that is done, 0 to 1.
            now: a time in seconds; the monotonic clock if left out.

        Returns:
            The seconds left, or None while there is no pace to go by.
        """
        now = time.monotonic() if now is None else now
        if self._begin is None:
            self._begin = (now, fraction)
        elapsed, done = now - self._begin[0], fraction - self._begin[1]
        return (1.0 - fraction) * elapsed / done if done > 0 else None
