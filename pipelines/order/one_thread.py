"""Keeping what runs beside training off the cores that train."""

from __future__ import annotations

from functools import cache

import torch
from threadpoolctl import ThreadpoolController


def one_thread_of_openmp() -> None:
    """Let the calling thread compute alone.

    Each thread that computes with torch has a team of OpenMP threads of its own, as many as there are cores, and they
    go on turning for a while after each use. OpenMP keeps the number by thread: other threads' teams stay as they are.
    """
    torch.get_num_threads()  # sets the thread's number at its first use
    _openmp().limit(limits=1)


@cache
def _openmp() -> ThreadpoolController:
    """The process's OpenMP libraries: looking for them takes a millisecond, and torch has brought its own already."""
    return ThreadpoolController().select(user_api="openmp")
