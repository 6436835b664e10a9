"""A folder that one process at a time may write to."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from saccade.pipelines.errors import UserError

LOCK = ".lock"
"""Holds the id of the process that writes, and is locked for as long as it lives."""


@contextlib.contextmanager
def only_one(folder: Path, doing: str, mend: str) -> Iterator[None]:
    """Keep all other processes that ask for it out of a folder.

    Args:
        folder: is there.
        doing: what the one that is in there does, as in "run x is being trained".
        mend: what the others can do.

    Raises:
        UserError: another process is in there.
        OSError: the folder can't be written.
    """
    with (folder / LOCK).open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise UserError(f"{doing} by process {file.read().strip()}: {mend}") from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
