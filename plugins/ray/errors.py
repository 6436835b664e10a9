"""What can go wrong on a worker, in a form that travels. Importable without ray."""

from __future__ import annotations

import time
import traceback


class RunFailed(Exception):
    """A run stopped for a reason other than a user's mistake.

    Attributes:
        details: the end of the worker's traceback, to print below the message; empty if the worker left none.
    """

    def __init__(self, message: str, details: str = "") -> None:
        super().__init__(message)
        self.details = details


class WorkerError(Exception):
    """An exception raised on a worker, as text: the original may not pickle, or its class may not exist elsewhere.

    Attributes:
        summary: the exception's type and the first line of its message.
        details: the end of its traceback.
        time: when it was raised, unix seconds: the earliest is the cause, the others lost their peer.
    """

    def __init__(self, summary: str, details: str, time: float) -> None:
        super().__init__(summary, details, time)  # all three, or it would not unpickle
        self.summary = summary
        self.details = details
        self.time = time

    def __str__(self) -> str:
        return self.summary

    @classmethod
    def of(cls, error: BaseException, lines: int = 30) -> WorkerError:
        """The given exception as text, its traceback cut to the last lines."""
        text = "".join(traceback.format_exception(error)).rstrip().splitlines()
        return cls(describe(error), "\n".join(text[-lines:]), time.time())


def describe(error: BaseException) -> str:
    """An exception in one line, not too long: its type and the first line of its message."""
    message = str(error).strip().splitlines()
    text = f"{type(error).__name__}: {message[0]}" if message else type(error).__name__
    return text if len(text) <= 200 else f"{text[:197]}..."
