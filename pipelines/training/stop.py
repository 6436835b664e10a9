"""A request to stop training soon, with everything saved: from a signal in this process, or from a file in the run."""

from __future__ import annotations

import time
from pathlib import Path

NAME = "stop"
"""The file in a run's folder that asks all of its workers to stop."""

BETWEEN_LOOKS = 0.2
"""Seconds between two looks for the file."""


class Stopped(Exception):
    """Training was asked to stop and has saved where it stands; raised on all ranks alike."""


class Stop:
    """Whether this process has been asked to stop. The loop adds up what its ranks were asked.

    Args:
        folder: the run's, in which a file ``stop`` is looked for; None for a rank that doesn't look.
    """

    _asked = False  # of the whole process: a signal is

    def __init__(self, folder: Path | None = None) -> None:
        self._file = folder and folder / NAME
        self._looked = float("-inf")

    @staticmethod
    def request() -> None:
        """Ask this process to stop; it may be called by a signal handler at any moment."""
        Stop._asked = True

    @staticmethod
    def clear() -> None:
        """Forget the request, for a process that trains again."""
        Stop._asked = False

    def requested(self) -> bool:
        """Whether to stop; a file is seen at most 0.2 seconds late."""
        now = time.monotonic()
        if not Stop._asked and self._file is not None and now - self._looked >= BETWEEN_LOOKS:
            self._looked = now
            if self._file.exists():
                Stop._asked = True
        return Stop._asked
