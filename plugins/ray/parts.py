"""Work in parts that need nothing of one another, shared out among Ray workers; a part that is lost is done again.

Ray Train's groups are for workers that step together. Here each worker gets set up once and takes one part after the
other, so that a slow one holds nobody up, and the death of one costs the part that it was at.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from saccade.pipelines.errors import UserError
from saccade.plugins.ray.errors import RunFailed, WorkerError
from saccade.plugins.ray.quiet import no_ray_messages, silence, worker_environment
from saccade.plugins.ray.session import Device, ray_session

Prepare = Callable[[Any], Callable[[int], int]]
"""Sets a worker up, and gives the function that does a part and tells how much that was."""


class PartWorker:
    """What lives in a worker's process."""

    def __init__(self, prepare: Prepare, argument: Any, directory: str, threads: int) -> None:
        self._prepare, self._argument = prepare, argument
        self._directory, self._threads = directory, threads
        self._do: Callable[[int], int] | None = None

    def do(self, part: int) -> tuple[int, int]:
        """Do a part, first setting up what all need.

        Returns:
            The part, and how much it was.

        Raises:
            UserError: as raised by the function.
            WorkerError: for anything else it raised.
        """
        try:
            if self._do is None:
                self._do = self._set_up()
            return part, self._do(part)
        except UserError:
            raise
        except Exception as error:
            raise WorkerError.of(error) from None

    def _set_up(self) -> Callable[[int], int]:
        import torch

        silence()
        if Path(self._directory).is_dir():  # on another node it may not exist
            os.chdir(self._directory)
        torch.set_num_threads(self._threads)
        return self._prepare(self._argument)


def run_parts(
    prepare: Prepare,
    argument: Any,
    parts: Sequence[int],
    *,
    workers: int,
    cpus_per_worker: int,
    device: Device,
    max_failures: int,
    done: Callable[[int, int], object],
) -> None:
    """Do all parts on workers, each of which is set up once.

    Args:
        prepare: importable where the workers run.
        argument: its one argument, plain data.
        parts: numbers.
        workers: how many processes.
        cpus_per_worker: CPUs reserved for each, and its compute threads.
        device: see ``ray_session``.
        max_failures: how often a part is done again because its worker died.
        done: told of each part that is done, and how much it was.

    Raises:
        UserError: raised by the function on any worker, or the workers ask for more than there is.
        RunFailed: the function raised something else, or a part's worker died once more than it may.
        KeyboardInterrupt: SIGINT came; the workers have been stopped.
    """
    waiting = list(reversed(parts))
    workers = min(workers, len(waiting))
    if not waiting:
        return
    with ray_session(workers, cpus_per_worker, device) as session, no_ray_messages():
        import ray
        from ray.exceptions import RayActorError, RayTaskError

        environment = {"env_vars": worker_environment(cpus_per_worker, session.use_gpu)}
        remote = ray.remote(PartWorker).options(
            num_cpus=cpus_per_worker, num_gpus=int(session.use_gpu), max_restarts=0, runtime_env=environment
        )
        deaths: Counter[int] = Counter()
        going: dict[Any, tuple[int, Any]] = {}

        def start(actor: Any) -> None:
            part = waiting.pop()
            going[actor.do.remote(part)] = part, actor

        def new_actor() -> Any:
            return remote.remote(prepare, argument, str(Path.cwd()), cpus_per_worker)

        actors = [new_actor() for _ in range(workers)]
        try:
            for actor in actors:
                start(actor)
            while going:
                (ready, *_), _ = ray.wait(list(going))
                part, actor = going.pop(ready)
                try:
                    done(*ray.get(ready))
                except RayTaskError as error:
                    raise _cause(error) from None
                except RayActorError:
                    deaths[part] += 1
                    if deaths[part] > max_failures:
                        text = f"part {part}: its worker's process died, now {deaths[part]} times: giving up"
                        raise RunFailed(text) from None
                    waiting.append(part)
                    actor = new_actor()
                    actors.append(actor)
                if waiting:
                    start(actor)
        finally:
            for actor in actors:
                ray.kill(actor)


def _cause(error: Exception) -> Exception:
    """What a worker raised, without what Ray puts around it."""
    cause = getattr(error, "cause", None)
    if isinstance(cause, UserError):
        return UserError(str(cause))
    if isinstance(cause, WorkerError):
        return RunFailed(cause.summary, cause.details)
    return RunFailed(str(error).strip().splitlines()[-1])
