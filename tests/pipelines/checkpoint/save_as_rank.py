"""One rank that saves checkpoints; run by the tests as ``save_as_rank.py FOLDER RANK WORLD_SIZE MODE``.

Modes: ``once`` saves step 1. ``blocked`` has a table on the last rank whose name no file system takes. ``pages`` saves
step 2, on the last rank in so many small files that they take far more than their bytes. ``forever`` saves one step
after the other until it is killed, with all weights the step's number; while a step is written they are -1.

A store named ``store`` joins the ranks, beside FOLDER.
"""

import itertools
import os
import sys
from pathlib import Path

import torch
import torch.distributed as dist

from saccade.models.table import Table
from saccade.pipelines.checkpoint.saver import Saver
from saccade.pipelines.collective import Collective
from saccade.pipelines.engines.engine import EngineState
from saccade.pipelines.errors import UserError
from saccade.pipelines.shard import TableShard

ROWS, DIM = 2000, 64


def main() -> int:
    folder, rank, world_size, mode = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    if world_size > 1:
        store = f"file://{folder.parent}/store-{mode}"
        dist.init_process_group("gloo", init_method=store, rank=rank, world_size=world_size)
    weight = torch.arange(ROWS * DIM, dtype=torch.float32).reshape(ROWS, DIM)
    if mode == "forever":
        weight = weight.repeat(20, 1)
    rows = (rank * len(weight) // world_size, (rank + 1) * len(weight) // world_size)
    part = weight[slice(*rows)]
    shards = [TableShard("items", rows, (0, DIM), part, {"sum": -part})]
    tables = [Table("items", len(weight), DIM, ("item",))]
    last = rank == world_size - 1
    if mode == "blocked":
        tables.append(Table("x" * 300, 1, 1, ("f",)))
        shards += [TableShard("x" * 300, (0, 1), (0, 1), torch.zeros(1, 1), {})] if last else []
    if mode == "pages":
        tables.append(Table("small", 600, 1, ("f",)))
        shards += [TableShard("small", (n, n + 1), (0, 1), torch.zeros(1, 1), {}) for n in range(600) if last]
    network = {f"weight/layer{rank}": torch.full((3,), float(rank))}
    saver = Saver(folder / "checkpoints", job={}, tables=tables, collective=Collective())
    for step in itertools.count(2 if mode == "pages" else 1):
        if mode == "forever":
            part.fill_(step)
        saver.begin(EngineState(shards, network, {}), step=step, training={"rank": rank})
        if mode == "forever":
            while not saver.written():
                part.fill_(-1)
        try:
            saver.seal()
        except UserError as error:
            print(error, f"[in flight: {saver.in_flight}]")
            return 2
        if mode != "forever":
            return 0
    return 0


if __name__ == "__main__":
    try:
        code = main()
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()
    # Gloo's threads may still hold tensors, and then the interpreter's end aborts the process (pytorch#179291).
    sys.stdout.flush()
    os._exit(code)
