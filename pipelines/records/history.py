"""A run's numbers as JSON lines in its folder: the tracker that is always on."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from saccade.pipelines.records.line_file import LineFile
from saccade.pipelines.records.record import plain, replace_text


class History:
    """Appends one JSON object to ``history.jsonl`` for each call of ``log``: a :class:`Tracker`.

    Every line is written at once, so that a report of a running or killed run misses nothing; on a full disk it waits
    for the next one. A number that isn't finite is written as null, because JSON has no NaN.

    Args:
        path: the file; made with the first line, continued where it exists.
        clock: seconds of training so far, over all starts of the run.
    """

    def __init__(self, path: Path, clock: Callable[[], float]) -> None:
        self.path = path
        self._clock = clock
        self._file = LineFile(path)
        if path.exists():
            self._replace(read_history(path))  # drops a line that a killed process left half written

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Append the metrics with their step, the time (Unix seconds) and the seconds of training so far."""
        line = {"step": step, "time": round(time.time(), 3), "seconds": round(self._clock(), 3), **metrics}
        self._file.append(_encode(line))

    def show(self, step: int, pictures: Mapping[str, Path]) -> None:
        """Nothing to do: a history is numbers."""

    def finish(self, result: Mapping[str, Any]) -> None:
        """Nothing to do: the lines are written already, and the result has its own file."""

    def resume(self, step: int) -> None:
        """Drop what was logged past a step, because training goes on from there."""
        if self.path.exists():
            self._replace([line for line in read_history(self.path) if line["step"] <= step])

    def seconds(self) -> float:
        """Seconds of training at the last line; 0 where there is none."""
        lines = read_history(self.path) if self.path.exists() else []
        return float(lines[-1]["seconds"]) if lines else 0.0

    def _replace(self, lines: list[dict[str, Any]]) -> None:
        replace_text(self.path, "".join(map(_encode, lines)))


def read_history(path: Path) -> list[dict[str, Any]]:
    """All lines of a history file, without a last one that is torn.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a line before the last isn't a JSON object with a step.
    """
    lines: list[dict[str, Any]] = []
    texts = path.read_bytes().split(b"\n")
    for number, text in enumerate(texts, start=1):
        if not text.strip():
            continue
        try:
            value = json.loads(text)
            if not isinstance(value, dict) or not isinstance(value.get("step"), int):
                raise ValueError("not an object with a step")
        except ValueError as error:
            if number == len(texts):  # no line break after it: the writer was killed inside this line
                break
            raise ValueError(f"{path}, line {number}: {error}") from error
        lines.append(value)
    return lines


def _encode(line: Mapping[str, Any]) -> str:
    return json.dumps(plain(line), ensure_ascii=False, allow_nan=False) + "\n"
