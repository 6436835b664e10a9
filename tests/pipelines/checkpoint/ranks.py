"""Starts ``save_as_rank.py``."""

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).with_name("save_as_rank.py")


def start(folder: Path, rank: int, world_size: int, mode: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(SCRIPT), str(folder), str(rank), str(world_size), mode]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def run_two_ranks(folder: Path, mode: str) -> list[tuple[int, str]]:
    """Each rank's exit code and output; ``folder`` has one of its own around it."""
    ranks = [start(folder, rank, 2, mode) for rank in range(2)]
    outputs = [process.communicate(timeout=120)[0] for process in ranks]
    return [(process.returncode, output) for process, output in zip(ranks, outputs, strict=True)]
