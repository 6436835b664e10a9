"""Functions run on several real processes over gloo; each pair of processes is started once for a list of calls.

Starting a rank takes seconds (DeepSpeed and TorchRec are slow to import), a small training a fraction of one.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


def run_ranks(
    world_size: int, calls: Sequence[Callable[[], Any]], folder: Path, timeout: float = 400
) -> list[list[Any]]:
    """Call each function on every rank, one after the other.

    Args:
        world_size: ranks to start.
        calls: picklable (``functools.partial`` of functions of modules).
        folder: an empty one for the ranks' files.
        timeout: seconds that a rank may take.

    Returns:
        For each call, what it returned on every rank.
    """
    folder.mkdir(parents=True)
    (folder / "calls").write_bytes(pickle.dumps(list(calls)))
    ranks = []
    for rank in range(world_size):
        environment = {
            "RANK": str(rank),
            "LOCAL_RANK": str(rank),
            "WORLD_SIZE": str(world_size),
            "LOCAL_WORLD_SIZE": str(world_size),
            "DS_ACCELERATOR": "cpu",
            "OMP_NUM_THREADS": "1",
        }
        with (folder / f"log-{rank}").open("w") as log:
            command = [sys.executable, "-m", "tests.processes", str(folder)]
            ranks.append(
                subprocess.Popen(command, cwd=ROOT, env=os.environ | environment, stdout=log, stderr=subprocess.STDOUT)
            )
    try:
        for rank, process in enumerate(ranks):
            if process.wait(timeout):
                logs = "\n".join(f"rank {r}:\n{(folder / f'log-{r}').read_text()[-4000:]}" for r in range(world_size))
                raise AssertionError(f"rank {rank} ended with {process.returncode}\n{logs}")
    finally:
        for process in ranks:
            process.kill()
            process.wait()
    results = [pickle.loads((folder / f"results-{rank}").read_bytes()) for rank in range(world_size)]
    return [list(values) for values in zip(*results, strict=True)]


def main() -> None:
    """A rank's own process."""
    import torch.distributed as dist

    folder, rank = Path(sys.argv[1]), int(os.environ["RANK"])
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/store", rank=rank, world_size=int(os.environ["WORLD_SIZE"])
    )
    try:
        results = [call() for call in pickle.loads((folder / "calls").read_bytes())]
        (folder / f"results-{rank}").write_bytes(pickle.dumps(results))
    finally:
        dist.destroy_process_group()
    # Gloo's threads may still hold tensors, and then the interpreter's end aborts the process (pytorch#179291).
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
