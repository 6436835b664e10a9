"""Which failures are worth a restart, and what to tell about them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ray.train import RunConfig, UserCallback
from ray.train.v2.api.exceptions import ControllerError, WorkerGroupError

from saccade.pipelines.errors import UserError
from saccade.pipelines.progress import Progress
from saccade.plugins.ray.errors import RunFailed, WorkerError, describe


class Restarts(UserCallback):  # type: ignore[misc]  # ray has no types here
    """Lives in Ray Train's controller: tells of restarts in the run's log, and forbids those that are no use.

    Ray restarts the workers after any exception. A user's mistake would only be made again, so it is raised here, in
    the controller, where Ray treats it as final; it also ends the other workers, who may be waiting in a collective.
    """

    def __init__(self, folder: Path, max_failures: int) -> None:
        self._folder = folder
        self._max_failures = max_failures
        self._failures = 0

    def after_exception(self, run_context: RunConfig, worker_exceptions: dict[int, Exception]) -> None:
        """Called by Ray Train with what each failed rank raised."""
        for error in worker_exceptions.values():
            if isinstance(error, UserError):
                raise error
        self._failures += 1
        rank, error = first_cause(worker_exceptions)
        if self._failures <= self._max_failures:
            then = f"starting the workers again ({self._failures} of {self._max_failures} restarts)"
        else:
            then = f"giving up after {self._max_failures} restarts" if self._max_failures else "giving up"
        Progress(self._folder).message(f"worker {rank}: {_say(error)}; {then}", "WARNING")


def first_cause(failures: Mapping[int, Exception]) -> tuple[int, Exception]:
    """The failure that made the others: a worker that died, else the exception that was raised first."""

    def order(item: tuple[int, Exception]) -> tuple[bool, float]:
        error = item[1]
        return isinstance(error, WorkerError), error.time if isinstance(error, WorkerError) else 0.0

    return min(failures.items(), key=order)


def translate(error: Exception, logs: Path) -> Exception:
    """What `launch` raises for an error that came out of Ray Train.

    Args:
        error: the error that ``TorchTrainer.fit`` raised.
        logs: the folder of the workers' logs.

    Returns:
        The worker's own UserError, or a RunFailed.
    """
    if isinstance(error, ControllerError):
        inner = error.controller_failure
        return inner if isinstance(inner, UserError) else RunFailed(f"Ray Train stopped the run: {describe(inner)}")
    if isinstance(error, WorkerGroupError) and error.worker_failures:
        rank, cause = first_cause(error.worker_failures)
        if isinstance(cause, UserError):
            return cause
        details = cause.details if isinstance(cause, WorkerError) else ""
        return RunFailed(f"worker {rank}: {_say(cause)} (its output is in {logs / f'rank-{rank}.log'})", details)
    return RunFailed(f"Ray Train stopped the run: {describe(error)}")


def _say(error: Exception) -> str:
    """One line for a failure: what was raised, or how the process ended."""
    if isinstance(error, WorkerError):
        return error.summary
    return "its process died" + _reason(str(error))


def _reason(text: str) -> str:
    """What Ray knows of a process's end, shortened to the causes that people can act on."""
    if "low on memory" in text or "NODE_OUT_OF_MEMORY" in text:
        return " for lack of memory"
    if "node died" in text or "marked dead" in text:
        return " with its node"
    return ""
