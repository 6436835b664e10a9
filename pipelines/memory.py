"""How a process that trains keeps memory."""

from __future__ import annotations

import ctypes
import sys

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""The numbers of glibc's M_TRIM_THRESHOLD and M_MMAP_THRESHOLD (mallopt(3))."""

LARGEST = 32 << 20
"""Bytes: the highest M_MMAP_THRESHOLD that glibc takes."""


def keep_freed_memory() -> None:
    """Let glibc keep what is freed for the next step, up to a GiB, instead of giving it back to the kernel.

    A step on a CPU frees its activations and asks for as many at once. Given back and taken again, each page of 4 KiB
    is a fault, and is filled with zeros: 200 to 1,900 faults in a step of cluster/jobs/ml1m_esasrec.yaml on one worker
    instead of 10 to 30, and up to a twentieth of the step's time. Only for processes of our own: a program that uses
    Saccade as a library keeps its own ways. Does nothing on other systems.
    """
    if sys.platform == "linux":
        library = ctypes.CDLL(None)
        if hasattr(library, "mallopt"):  # musl has none
            library.mallopt(TRIM_THRESHOLD, 1 << 30)
            library.mallopt(MMAP_THRESHOLD, LARGEST)
