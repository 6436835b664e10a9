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
    is a fault, and is filled with zeros: 8,000 faults and a twentieth of a step of 13,500 tokens (64 wide, two blocks,
    one thread). Only for processes of our own: a program that uses Saccade as a library keeps its own ways. Does
    nothing on other systems.
    """
    if sys.platform == "linux":
        library = ctypes.CDLL(None)
        if hasattr(library, "mallopt"):  # musl has none
            library.mallopt(TRIM_THRESHOLD, 1 << 30)
            library.mallopt(MMAP_THRESHOLD, LARGEST)
