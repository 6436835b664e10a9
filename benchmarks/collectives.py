"""Sums over two ranks of this machine: through the memory that they share, and by gloo.

Between two sums a rank computes for a while, as in training: then who waits has gone to sleep.

    python benchmarks/collectives.py
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor

from saccade.pipelines.collective import Collective

ROUNDS = 200
SIZES = {"6 counts": torch.ones(6, dtype=torch.int64), "250 kB": torch.ones(63_000), "890 kB": torch.ones(222_000)}


def compute(seconds: float) -> None:
    """Keep the core busy."""
    matrix, end = torch.randn(128, 128), time.perf_counter() + seconds
    while time.perf_counter() < end:
        matrix @ matrix


def measure(add_up: Callable[[Tensor], object], tensor: Tensor, between: float) -> tuple[float, float]:
    """Milliseconds that a sum takes, and of the processor in this rank."""
    wall = processor = 0.0
    for _ in range(ROUNDS):
        compute(between)
        began, used = time.perf_counter(), time.process_time()
        add_up(tensor)
        wall, processor = wall + time.perf_counter() - began, processor + time.process_time() - used
    return 1000 * wall / ROUNDS, 1000 * processor / ROUNDS


def rank(number: int, folder: str) -> None:
    """One of the two."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=number, world_size=2)
    collective = Collective()
    if number == 0:
        print(f"{'':<10}{'computing between':>20}{'shared':>10}{'gloo':>10}{'CPU shared':>12}{'CPU gloo':>10}   (ms)")
    for between in (0.0, 0.005):
        for name, tensor in SIZES.items():
            collective.sum(tensor)
            ours = measure(collective.sum, tensor, between)
            theirs = measure(dist.all_reduce, tensor, between)
            if number == 0:
                times = f"{ours[0]:>10.2f}{theirs[0]:>10.2f}{ours[1]:>12.2f}{theirs[1]:>10.2f}"
                print(f"{name:<10}{1000 * between:>17.0f} ms{times}", flush=True)
    os._exit(0)  # gloo's threads may still hold tensors, and then the interpreter's end aborts (pytorch#179291)


def main() -> None:
    """Start both."""
    if len(sys.argv) == 3:
        rank(int(sys.argv[1]), sys.argv[2])
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, str(Path(__file__).resolve())]
        ranks = [subprocess.Popen([*command, str(number), folder]) for number in range(2)]
        raise SystemExit(max(process.wait() for process in ranks))


if __name__ == "__main__":
    main()
