"""Footers are tried in a process of their own first, because a damaged one may end the process that looks at it.

Arrow throws for much of what may be wrong with a footer where Python has no way to catch it (a histogram of levels that
is too long, statistics that are too short), and then the process aborts without a word about the file: six of a
hundred footers with one changed field did. So a child reads every new footer first, and holds it against itself.

The child is started once in a process (0.2 s) and ends after a minute without work. A footer of 7 columns and 10 row
groups takes it 0.3 ms, four times what Arrow needs to read it, so 3 s for 10,000 such files; one of 100 columns and 100
row groups 9 ms. Footers that were found sound are not tried again. The child may take 8 GiB of memory and 60 s.

A parser of our own in Python would need no child, but 50 to 100 µs for every column chunk, and to know every place
where Arrow throws, in all of its releases.
"""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
import threading

_CODE = "import sys; sys.path[:] = {path!r}; from saccade.pipelines.parquet.footer_check import serve; serve()"


class FooterTrial:
    """A child that looks at footers; for any number of threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._sound: set[tuple[str, int]] = set()

    def fault(self, stored: bytes, size: int, digest: str) -> str:
        """What is wrong with a footer; empty where nothing is.

        Args:
            stored: the footer with its length and the magic bytes behind.
            size: the file's size in bytes.
            digest: tells whether it was here before.

        Raises:
            OSError: the child can't be started.
        """
        if (digest, size) in self._sound:
            return ""
        message = len(stored).to_bytes(8, "little") + size.to_bytes(8, "little") + stored
        with self._lock:
            # Twice, because a child may also have ended of itself, or been ended.
            found = self._ask(message) or self._ask(message)
        if not found:
            return "it ends the process that reads it"
        fault = found.decode().rstrip("\n")
        if not fault:
            self._sound.add((digest, size))
        return fault

    def close(self) -> None:
        """End the child; the next footer starts another."""
        if self._child is not None:
            self._child.kill()
            self._child.communicate()
            self._child = None

    def _ask(self, message: bytes) -> bytes:
        """The answer, a whole line; empty where the child ended, which is then put away."""
        if self._child is None:
            self._child = subprocess.Popen(
                [sys.executable, "-c", _CODE.format(path=sys.path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        found = b""
        try:
            self._child.stdin.write(message)
            self._child.stdin.flush()
            found = self._child.stdout.readline()
        except BrokenPipeError:
            pass
        finally:  # after an interrupt, too: what the child would answer then isn't about the next footer
            if not found.endswith(b"\n"):
                self.close()
        return found if found.endswith(b"\n") else b""


TRIAL = FooterTrial()
atexit.register(TRIAL.close)
# A forked process must not talk to its parent's child, nor wait for a lock that no thread of its own holds.
os.register_at_fork(after_in_child=TRIAL.__init__)  # type: ignore[misc]
