"""Storage that can't be written to is the user's to mend: one line instead of a traceback."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from saccade.pipelines.errors import UserError
from saccade.pipelines.records.line_file import FULL


@contextlib.contextmanager
def storage_errors(folder: Path) -> Iterator[None]:
    """For the block that sets up a run's folder: whatever the system refuses there.

    Raises:
        UserError: in place of any OSError.
    """
    with full_disk(folder):
        try:
            yield
        except OSError as error:
            if error.errno in FULL:
                raise
            raise UserError(
                f"run.storage: can't write to {folder} ({error.strerror or error}): mend that or set another "
                "run.storage"
            ) from None


@contextlib.contextmanager
def full_disk(folder: Path) -> Iterator[None]:
    """For a block that writes into a run's folder: no space left.

    Raises:
        UserError: in place of the OSError.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise UserError(
            f"no space left at {folder}: free some or set another run.storage; what is saved is untouched, and the "
            "same command then goes on from it"
        ) from None
