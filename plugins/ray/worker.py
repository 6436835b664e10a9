"""What happens on a worker around the function that trains."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import FrameType
from typing import Any

from saccade.pipelines.errors import UserError
from saccade.pipelines.records.progress import Progress
from saccade.pipelines.training.stop import Stop, Stopped
from saccade.plugins.ray.errors import WorkerError
from saccade.plugins.ray.quiet import silence


@dataclass(frozen=True)
class Work:
    """What every worker is to do.

    Attributes:
        function: the pickled function. It stays bytes until output and warnings are set up, because unpickling
            imports everything that training needs.
        arguments: its one argument.
        directory: the driver's working directory.
        logs: the folder of the workers' own output, ``rank-R.log``.
        threads: compute threads of a worker.
    """

    function: bytes
    arguments: dict[str, Any]
    directory: Path
    logs: Path
    threads: int


def run(config: dict[str, Work]) -> None:
    """The function that Ray Train calls on every worker.

    Raises:
        UserError: as raised by the function.
        Stopped: as raised by the function.
        WorkerError: for anything else it raised.
    """
    _this_process.working = True
    try:
        _run(config["work"])
    finally:
        _this_process.working = False


def _run(work: Work) -> None:
    import torch
    from ray import cloudpickle

    rank = int(os.environ["RANK"])
    write_output_to(work.logs / f"rank-{rank}.log")
    print(
        f"--- {datetime.now():%Y-%m-%d %H:%M:%S} rank {rank}, process {os.getpid()} on {os.uname().nodename}",
        flush=True,
    )
    silence()
    if work.directory.is_dir():  # on another node it may not exist; there Ray has set the job's own directory
        os.chdir(work.directory)
    torch.set_num_threads(work.threads)
    try:
        function: Callable[[dict[str, Any]], None] = cloudpickle.loads(work.function)
        function(work.arguments)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        raise
    except Stopped:
        if _this_process.terminated:
            text = f"worker {rank}: told to end (SIGTERM), as when its node is taken back"
            Progress(work.logs.parent).message(text, "WARNING")
        raise
    except Exception as error:
        traceback.print_exc()
        raise WorkerError.of(error) from None
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


class _Process:
    """What is known of this process: ``working`` while the function runs, ``terminated`` once it got SIGTERM."""

    working = False
    terminated = False


_this_process = _Process()


def is_working() -> bool:
    """Whether the function runs in this process; for a call from outside while it does."""
    return _this_process.working


def ask_to_stop() -> None:
    """Tell the function in this process to save and stop; for a call from outside."""
    Stop.request()


def stop_on_sigterm() -> None:
    """Let a first SIGTERM be a request to save and stop; a second one, or one without work, is Ray's again.

    Ray calls the function in a thread. This has to be called in the main thread, as Python has it for signal handlers.
    """
    before = signal.getsignal(signal.SIGTERM)

    def stop(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, before)
        if _this_process.working:
            _this_process.terminated = True
            Stop.request()
        elif callable(before):
            before(number, frame)

    signal.signal(signal.SIGTERM, stop)


def write_output_to(path: Path) -> None:
    """Append this process's stdout and stderr, C++ libraries' included, to a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)
