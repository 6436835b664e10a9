"""A file that grows by whole lines, on a disk that may be full for a while."""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path

FULL = (errno.ENOSPC, errno.EDQUOT)
"""No space left on the device, or within the user's quota."""


class LineFile:
    """Appends lines to a file; those that find no room are kept and go before the next one.

    So a full disk costs a run neither its life nor a line of its log: whether it goes on is decided where a checkpoint
    can't be written.

    Args:
        path: the file; made with the first line.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._waiting = b""

    def append(self, line: str) -> None:
        """Write a line (its line break included), and those that still wait, at once.

        Raises:
            OSError: the file can't be written for another reason than want of space.
        """
        self._waiting += line.encode()
        before = self.path.stat().st_size if self.path.exists() else 0
        try:
            # Unbuffered, so that all of it goes out in one write: readers and other writers never see half a line.
            with self.path.open("ab", buffering=0) as file:
                written = file.write(self._waiting) == len(self._waiting)
        except OSError as error:
            if error.errno not in FULL:
                raise
            written = False
        if written:
            self._waiting = b""
        else:
            with contextlib.suppress(OSError):  # not even made
                os.truncate(self.path, before)
