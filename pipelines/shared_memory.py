"""Sums, gathers and exchanges over the ranks of one machine, through memory that they share.

Gloo takes 1 to 2.5 ms for the smallest tensor between two processes of one machine, and as much of a core: messages
wake threads of its own on both sides, and a training step has several. Here a rank copies its tensor into its own
place, counts up, and reads the others' places when they have counted up too: 0.1 ms, and 0.3 for 0.9 MB, where gloo
takes 3 (``python benchmarks/collectives.py``). Every rank adds the places up in rank order: all get the same bits.

DeepSpeed has such a sum too, which turns in a loop until the others are there, with Python's lock held: a rank whose
peer was killed never finds out, and neither signals nor its other threads get through. This one sleeps and looks.

Places alternate between two rooms: whoever writes into a room for the second time has seen all ranks count up in the
other one, for which they had to be through with this one. So a sum waits once.
"""

from __future__ import annotations

import mmap
import os
import platform
import select
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

CAPACITY = 1 << 20
"""Bytes of a place; larger tensors are summed piece by piece."""

HEAD = 4096
"""Bytes before the rooms, for the ranks' counts of 8 bytes."""

SPINS = 200
"""Looks at a count, some 15 us, before the others get the core."""

PAUSE_S, LONG_PAUSE_S = 2e-5, 1e-3
"""From then on, from one look to the next; the kernel makes 0.1 ms of the first. The second is for who waits long, as
for a rank that still reads or writes."""

LONG = 5000
"""Looks after which a rank waits long, half a second."""

LIVING_S = 0.5
"""How often a rank that waits looks whether the others still live."""


class SharedMemory:
    """The places of all ranks of the default process group; made by :func:`share_memory`.

    Args:
        memory: the same pages in every rank.
        rank, world_size: of the group.
        processes: every rank's process.
    """

    def __init__(self, memory: mmap.mmap, rank: int, world_size: int, processes: list[int]) -> None:
        self._rank, self._ranks = rank, range(world_size)
        self._counts = memoryview(memory)[: 8 * world_size].cast("q")
        pages = torch.frombuffer(memory, dtype=torch.uint8)
        self._rooms = pages[HEAD : HEAD + 2 * world_size * CAPACITY].view(2, world_size, CAPACITY)
        self._done = 0
        self._living = select.poll()
        self._ends = {}
        for other, process in enumerate(processes):
            if other != rank:
                end = os.pidfd_open(process)
                self._living.register(end, select.POLLIN)
                self._ends[end] = other

    def combine(self, tensor: Tensor, operation: Callable[..., Tensor]) -> None:
        """Replace a tensor on the host by what ``operation`` (torch.add, torch.maximum) makes of all ranks' tensors.

        A collective: shapes and types are the same on all ranks.

        Raises:
            RuntimeError: another rank has ended.
        """
        flat = tensor.contiguous().view(-1)
        for piece in _pieces(flat):
            places = [place[: len(piece)] for place in self._exchange(piece)]
            operation(places[0], places[1], out=piece)
            for place in places[2:]:
                operation(piece, place, out=piece)
        if flat.data_ptr() != tensor.data_ptr():
            tensor.copy_(flat.view_as(tensor))

    def gather(self, tensor: Tensor) -> Tensor:
        """[ranks, ...]: all ranks' tensors [...]; otherwise as :meth:`combine`."""
        gathered = tensor.new_empty(len(self._ranks), *tensor.shape)
        flat, begin = tensor.contiguous().view(-1), 0
        for piece in _pieces(flat):
            end = begin + len(piece)
            for rank, place in enumerate(self._exchange(piece)):
                gathered.view(len(gathered), -1)[rank, begin:end] = place[: len(piece)]
            begin = end
        return gathered

    def deal(self, flat: Tensor, counts: Sequence[int]) -> Tensor:
        """Give each rank its own part of a tensor: an all-to-all.

        A collective, of which each rank may bring another number of elements.

        Args:
            flat: [n] on the host, the parts for all ranks in rank order.
            counts: elements of each part.

        Returns:
            [m], what all ranks had for this one, in rank order.

        Raises:
            RuntimeError: another rank has ended.
        """
        table = self.gather(torch.tensor(counts, dtype=torch.int64))  # [from, to]
        starts = (table.cumsum(1) - table)[:, self._rank].tolist()
        sizes = table[:, self._rank].tolist()
        received, room = flat.new_empty(sum(sizes)), CAPACITY // flat.element_size()
        for first in range(0, int(table.sum(1).max()), room):
            places = self._exchange(flat[first : first + room])
            for part, start, place in zip(received.split(sizes), starts, places, strict=True):
                low, high = max(start, first), min(start + len(part), first + room)
                if low < high:
                    part[low - start : high - start] = place[low - first : high - first]
        return received

    def _exchange(self, piece: Tensor) -> tuple[Tensor, ...]:
        """All ranks' places, with their pieces at the front, to be read until the next call."""
        self._done += 1
        places = self._rooms[self._done % 2].view(piece.dtype).unbind(0)
        places[self._rank][: len(piece)] = piece
        self._counts[self._rank] = self._done
        self._wait()
        return places

    def close(self) -> None:
        """Let go of the other ranks' processes; not a collective, and nothing can be asked afterwards."""
        for end in self._ends:
            os.close(end)
        self._ends = {}

    def _wait(self) -> None:
        """Until all ranks have counted as far as this one."""
        counts, wanted = self._counts, self._done
        for other in self._ranks:
            looks, asked = 0, 0.0
            while counts[other] < wanted:
                looks += 1
                if looks < SPINS:
                    continue
                time.sleep(PAUSE_S if looks < LONG else LONG_PAUSE_S)
                if looks % 256 == 0 and time.monotonic() - asked > LIVING_S:
                    self._see_that_all_live()
                    asked = time.monotonic()

    def _see_that_all_live(self) -> None:
        ended = [self._ends[end] for end, _ in self._living.poll(0)]
        # Whoever counted up before it ended is waited for no longer.
        missing = [other for other in ended if self._counts[other] < self._done]
        if missing:
            raise RuntimeError(f"the process of rank {missing[0]} ended while this one waited for it")


def _pieces(flat: Tensor) -> Sequence[Tensor]:
    """What fits into a place, one after the other; none of nothing."""
    return flat.split(CAPACITY // flat.element_size()) if len(flat) else ()


_shared: tuple[Any, SharedMemory | None] = (None, None)
"""The default process group that it was made for, and what was made."""


def share_memory() -> SharedMemory | None:
    """What the ranks of the default process group share; None where they can't. A collective at its first call.

    They can on Linux, if all are on one machine whose processor shows stores to others in their order (x86).
    """
    global _shared
    group = dist.group.WORLD
    if _shared[0] is not group:
        if _shared[1] is not None:
            _shared[1].close()
        _shared = (group, _make())
    return _shared[1]


def _make() -> SharedMemory | None:
    rank, world_size = dist.get_rank(), dist.get_world_size()
    size = HEAD + 2 * world_size * CAPACITY
    descriptor = _new_pages(size) if rank == 0 else None
    # The file has no name: other ranks reach it through rank 0, and a killed run leaves nothing behind.
    path = [None if descriptor is None else f"/proc/{os.getpid()}/fd/{descriptor}"]
    dist.broadcast_object_list(path)
    memory = None
    if path[0] is not None:
        with suppress(OSError), open(path[0], "r+b") as file:
            memory = mmap.mmap(file.fileno(), size)
    # Where processes are numbered apart, as in two containers, a rank couldn't see whether another one lives.
    mine = None if memory is None else (_numbering(), os.getpid())
    found: list[tuple[str, int] | None] = [None] * world_size
    dist.all_gather_object(found, mine)
    if descriptor is not None:
        os.close(descriptor)
    there = [place for place in found if place is not None]
    if memory is None or len(there) < world_size or len({numbers for numbers, _ in there}) > 1:
        return None
    return SharedMemory(memory, rank, world_size, [process for _, process in there])


def _numbering() -> str:
    """Which machine, and which numbering of its processes, this is."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{boot} {os.readlink('/proc/self/ns/pid')}"


def _new_pages(size: int) -> int | None:
    """A file of zeros in memory, for which there is room; None where there is none."""
    if not (sys.platform == "linux" and platform.machine() == "x86_64" and hasattr(os, "pidfd_open")):
        return None
    with suppress(OSError):
        descriptor = os.memfd_create("saccade")
        try:
            os.posix_fallocate(descriptor, 0, size)
            return descriptor
        except OSError:
            os.close(descriptor)
    return None
