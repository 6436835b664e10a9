"""Ray Train's group of workers, followed from one start to the next."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import ray
from ray.train.v2._internal.execution.callback import ControllerCallback, WorkerGroupCallback

from saccade.pipelines.errors import UserError
from saccade.pipelines.records.progress import Progress
from saccade.pipelines.training.stop import NAME as STOP_FILE
from saccade.pipelines.training.stop import Stopped
from saccade.plugins.ray.errors import RunFailed, WorkerError
from saccade.plugins.ray.failures import first_cause, say
from saccade.plugins.ray.worker import ask_to_stop, is_working, stop_on_sigterm

CAUSE_S = 3.0
"""Those who lose a peer know it before Ray knows that the peer has died: how long to wait for news of its death."""

RESIZE_GRACE_S = 120.0
"""How long a change of size waits for the checkpoint that it is to go on from."""


class Group(WorkerGroupCallback, ControllerCallback):  # type: ignore[misc]  # ray has no types here
    """Lives in Ray Train's controller: tells of starts in the run's log, and decides which failures are worth another.

    Ray itself is told to restart for ever. Final is what this class raises: a user's mistake, which would only be made
    again; a stop that was asked for; and the failure after the last restart. Raising also ends the other workers, who
    may be waiting in a collective.

    Functions that look at :class:`Stop` are warned, and so save first, where Ray by itself would kill them: before a
    change of the group's size, when a node is drained, and when a worker gets SIGTERM.

    Args:
        folder: of the run.
        max_failures: restarts before giving up. Those after a warning don't count.
        stops: whether the function looks at ``Stop``.
        announce: what to tell in the log when a group of so many workers starts.
    """

    def __init__(
        self, folder: Path, max_failures: int, *, stops: bool = False, announce: Callable[[int], str] | None = None
    ) -> None:
        self._folder = folder
        self._max_failures = max_failures
        self._stops = stops
        self._announce = announce
        self._failures = 0
        self._group: Any = None
        """The group while all of its workers are at work."""
        self._drained: list[int] = []
        self._looked = float("-inf")

    def after_worker_group_start(self, worker_group: Any) -> None:
        """Called by Ray Train when the workers' processes are there."""
        if self._stops:
            worker_group.execute(stop_on_sigterm)

    def after_worker_group_training_start(self, worker_group: Any) -> None:
        """Called by Ray Train when the function runs on all of them."""
        self._group, self._drained = worker_group, []
        if self._announce is not None:
            self._say(self._announce(len(worker_group)))

    def after_worker_group_poll_status(self, worker_group_status: Any) -> None:
        """Called by Ray Train each time it has looked at the workers."""
        group = self._group
        if group is None:
            return
        if worker_group_status.errors:
            self._group = None
            self.failed(_with_the_cause(group, worker_group_status))
        elif self._stops and not self._drained and time.monotonic() - self._looked >= _drain_interval():
            self._looked = time.monotonic()
            self._drained = _drained_ranks(group)
            if self._drained:
                ranks = ", ".join(map(str, self._drained))
                self._say(f"worker {ranks}: its node is about to be taken back; saving", "WARNING")
                group.execute_async(ask_to_stop)

    def before_controller_execute_resize_decision(self, resize_decision: Any) -> None:
        """Called by Ray Train before it kills the workers to start another number of them, or to start the first."""
        group, self._group = self._group, None
        if group is None or not self._stops:
            return
        self._say(f"from {len(group)} to {resize_decision.num_workers} workers: saving first")
        end = time.monotonic() + RESIZE_GRACE_S
        try:
            group.execute(ask_to_stop)
            while any(group.execute(is_working)) and time.monotonic() < end:
                time.sleep(0.2)
        except Exception as error:  # a worker has died just now: the others are restarted all the same
            self._say(f"a worker was lost meanwhile ({type(error).__name__})", "WARNING")

    def failed(self, failures: Mapping[int, Exception]) -> None:
        """Tell what happened and raise if it is final.

        Args:
            failures: rank -> what it raised.

        Raises:
            UserError: one of them raised it.
            Stopped: somebody asked the run to stop.
            RunFailed: the restarts are used up.
        """
        for error in failures.values():
            if isinstance(error, UserError):
                raise error
        stopped = next((error for error in failures.values() if isinstance(error, Stopped)), None)
        rank, cause = first_cause(failures)
        if (self._folder / STOP_FILE).exists():
            if stopped is None:
                self._say(f"worker {rank}: {say(cause)} before it could save", "WARNING")
            raise stopped or Stopped("stopped")
        if stopped is not None:
            self._say("stopped and saved: starting the workers again")
            return
        self._failures += 1
        if self._failures <= self._max_failures:
            then = f"starting the workers again ({self._failures} of {self._max_failures} restarts)"
        else:
            then = f"giving up after {self._max_failures} restarts" if self._max_failures else "giving up"
        self._say(f"worker {rank}: {say(cause)}; {then}", "WARNING")
        if self._failures > self._max_failures:
            details = cause.details if isinstance(cause, WorkerError) else ""
            log = self._folder / "logs" / f"rank-{rank}.log"
            raise RunFailed(f"worker {rank}: {say(cause)} (its output is in {log})", details)

    def _say(self, text: str, level: str = "INFO") -> None:
        Progress(self._folder).message(text, level)


def _drain_interval() -> float:
    """Seconds between two looks for drained nodes; the variable is Ray's, whose own watcher is switched off."""
    return float(os.environ.get("RAY_TRAIN_PREEMPTION_POLL_INTERVAL_S", "5"))


def _drained_ranks(group: Any) -> list[int]:
    """The ranks whose nodes have been told to give up their work."""
    drained = ray._private.state.state.get_draining_nodes()
    return sorted(w.distributed_context.world_rank for w in group.get_workers() if w.metadata.node_id in drained)


def _with_the_cause(group: Any, status: Any) -> dict[int, Exception]:
    """What failed, looking once more where it may be the consequence of a death that Ray hasn't noticed yet."""
    errors: dict[int, Exception] = dict(status.errors)
    end = time.monotonic() + CAUSE_S
    while (
        len(errors) < len(group)
        and all(isinstance(error, WorkerError) for error in errors.values())
        and time.monotonic() < end
    ):
        time.sleep(0.2)
        errors = dict(group.poll_status(timeout=1.0).errors)
    return errors
