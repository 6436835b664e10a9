"""What to tell about failures."""

from __future__ import annotations

from collections.abc import Mapping

from ray.train.v2.api.exceptions import ControllerError

from saccade.pipelines.errors import UserError
from saccade.pipelines.training.stop import Stopped
from saccade.plugins.ray.errors import RunFailed, WorkerError, describe


def first_cause(failures: Mapping[int, Exception]) -> tuple[int, Exception]:
    """The failure that made the others: a worker that died, else the exception that was raised first."""

    def order(item: tuple[int, Exception]) -> tuple[bool, float]:
        error = item[1]
        return isinstance(error, WorkerError), error.time if isinstance(error, WorkerError) else 0.0

    return min(failures.items(), key=order)


def translate(error: Exception) -> BaseException:
    """What `launch` raises for an error that came out of Ray Train.

    Args:
        error: the error that ``TorchTrainer.fit`` raised. What `Group` raised in the controller is inside.

    Returns:
        The worker's own UserError, a RunFailed, or a KeyboardInterrupt for a run that was asked to stop.
    """
    inner = error.controller_failure if isinstance(error, ControllerError) else error
    if isinstance(inner, Stopped):
        return KeyboardInterrupt()
    if isinstance(inner, UserError | RunFailed):
        return inner
    return RunFailed(f"Ray Train stopped the run: {describe(inner)}")


def say(error: Exception) -> str:
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
