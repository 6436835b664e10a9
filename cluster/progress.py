"""Shows a run's progress on stderr while it goes: a live bar on a terminal, plain lines in a log.

Reads only the two files that rank 0 writes (see `saccade.pipelines.records.progress`), so it works alike for a run in
this process, on workers of this machine and on a cluster that shares the run's folder.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TextIO


@contextmanager
def follow(
    run_folder: Path, *, stream: TextIO | None = None, poll: float = 0.5, plain_interval: float = 10.0
) -> Iterator[None]:
    """Show what happens in a run's folder for as long as the block runs.

    What earlier starts left in the folder is not shown again.

    Args:
        run_folder: the run's folder; it may not exist yet.
        stream: where to write; stderr if left out. A live bar if it is a terminal, else lines without carriage returns.
        poll: seconds between two looks.
        plain_interval: seconds between two plain lines of one phase.
    """
    stream = sys.stderr if stream is None else stream
    display: Display = BarDisplay(stream) if stream.isatty() else PlainDisplay(stream, plain_interval)
    watcher = _Watcher(run_folder, display)
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(poll):
            watcher.look()

    thread = threading.Thread(target=watch, name="saccade-progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        watcher.look(last=True)
        display.close()


class Display(Protocol):
    """Somewhere to show progress."""

    def message(self, line: str) -> None:
        """A line of the log."""

    def state(self, state: dict[str, Any], last: bool = False) -> None:
        """The newest contents of ``progress.json``; ``last`` when nothing follows."""

    def close(self) -> None:
        """Nothing follows."""


class PlainDisplay:
    """One line at each change of phase and else now and then: for files and pipes."""

    def __init__(self, stream: TextIO, interval: float) -> None:
        self._stream = stream
        self._interval = interval
        self._phase: str | None = None
        self._shown = ""
        self._time = float("-inf")

    def message(self, line: str) -> None:
        """Print it."""
        print(line, file=self._stream, flush=True)

    def state(self, state: dict[str, Any], last: bool = False) -> None:
        """Print it if it is due."""
        line, now = f"{state['phase']}{_details(state)}{_remaining(state)}", time.monotonic()
        due = last or state["phase"] != self._phase or now - self._time >= self._interval
        if due and line != self._shown:
            self._phase, self._shown, self._time = state["phase"], line, now
            print(line, file=self._stream, flush=True)

    def close(self) -> None:
        """Nothing to do."""


class BarDisplay:
    """A bar that is redrawn in place, messages above it: for terminals."""

    def __init__(self, stream: TextIO) -> None:
        from tqdm import tqdm

        self._stream = stream
        self._bar = tqdm(total=1.0, file=stream, bar_format=" ", ncols=1)

    def message(self, line: str) -> None:
        """Print it above the bar."""
        self._bar.write(line, file=self._stream)

    def state(self, state: dict[str, Any], last: bool = False) -> None:
        """Draw the bar anew."""
        eta = state.get("eta_seconds")
        left = f"  ETA {duration(eta)}" if eta is not None and state["phase"] != "done" else ""
        try:
            columns = os.get_terminal_size(self._stream.fileno()).columns or 80  # some terminals say 0
        except OSError:
            columns = 80
        # The bar is the fraction of the whole run; tqdm's own rate and clock know nothing of earlier starts.
        self._bar.n = min(1.0, state.get("fraction") or 0.0)
        self._bar.bar_format = f"{state['phase']} {{percentage:3.0f}} %|{{bar}}|{_details(state, columns >= 100)}{left}"
        self._bar.ncols = columns
        self._bar.refresh()

    def close(self) -> None:
        """Leave the bar as it is and go to the next line."""
        self._bar.close()


class _Watcher:
    """Hands over what is new in a run's folder."""

    def __init__(self, folder: Path, display: Display) -> None:
        self._log = folder / "log.txt"
        self._progress = folder / "progress.json"
        self._display = display
        self._offset = self._log.stat().st_size if self._log.exists() else 0
        self._seen = self._read_progress()
        self._state: dict[str, Any] = {"phase": "starting"}
        display.state(self._state)

    def look(self, last: bool = False) -> None:
        for line in self._new_lines():
            self._display.message(line)
        text = self._read_progress()
        if text is not None and text != self._seen:
            self._seen, self._state = text, json.loads(text)
            self._display.state(self._state, last)
        elif last:  # so that a log ends with the last state even if its line was not due
            self._display.state(self._state, last)

    def _read_progress(self) -> str | None:
        try:
            return self._progress.read_text(encoding="utf-8")
        except OSError:  # not there yet, or a network file system in between two versions
            return None

    def _new_lines(self) -> list[str]:
        """Whole lines only: half a line is left for the next look."""
        try:
            with self._log.open("rb") as file:
                if file.seek(0, 2) < self._offset:  # a new file under the old name
                    self._offset = 0
                file.seek(self._offset)
                data = file.read()
        except OSError:
            return []
        end = data.rfind(b"\n") + 1
        self._offset += end
        return data[:end].decode(errors="replace").splitlines()


def _details(state: dict[str, Any], step: bool = True) -> str:
    """Epoch, step, loss and throughput, as far as they are known."""
    parts = []
    if state.get("epochs"):
        parts.append(f"epoch {state['epoch']:.1f}/{state['epochs']:g}")
    if step and state.get("step"):
        parts.append(f"step {state['step']}")
    if state.get("loss") is not None:
        parts.append(f"loss {state['loss']:.3f}")
    if state.get("events_per_second") is not None:
        parts.append(f"{count(state['events_per_second'])} events/s")
    return "".join(f"  {part}" for part in parts)


def _remaining(state: dict[str, Any]) -> str:
    if not state.get("fraction") or state["phase"] == "done":
        return ""
    eta = state.get("eta_seconds")
    return f"  {100 * state['fraction']:.0f} % done" + (f", ETA {duration(eta)}" if eta is not None else "")


def count(number: float) -> str:
    """A number in three digits or so: 950, 84.1k, 1.2M."""
    for size, unit in ((1e6, "M"), (1e3, "k")):
        if number >= 0.9995 * size:
            return f"{number / size:.1f}{unit}"
    return f"{number:.0f}"


def duration(seconds: float) -> str:
    """A length of time in its two largest units: 45s, 4m10s, 1h02m, 2d03h."""
    total = round(seconds)
    if total < 60:
        return f"{total}s"
    if total < 3600:
        return f"{total // 60}m{total % 60:02d}s"
    if total < 86400:
        return f"{total // 3600}h{total % 3600 // 60:02d}m"
    return f"{total // 86400}d{total % 86400 // 3600:02d}h"
