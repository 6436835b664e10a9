"""What the workers of test_parts.py do; importable where they run."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

from saccade.pipelines.errors import UserError


def prepare(folder: str) -> Callable[[int], int]:
    """Note who did which part, and how often each worker was set up."""
    place = Path(folder)
    (place / f"set-up-{os.getpid()}").touch()

    def do(part: int) -> int:
        with (place / f"part-{part}").open("a") as file:
            file.write(f"{os.getpid()}\n")
        if part == 3 and len((place / "part-3").read_text().splitlines()) == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return part * 10

    return do


def always_dies(folder: str) -> Callable[[int], int]:
    """End the process at part 1."""

    def do(part: int) -> int:
        if part == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return 0

    return do


def mistaken(folder: str) -> Callable[[int], int]:
    """Raise what a user can mend."""
    raise UserError(f"{folder} is not what it should be")


def broken(folder: str) -> Callable[[int], int]:
    """Raise something else."""
    raise ZeroDivisionError("a bug")
