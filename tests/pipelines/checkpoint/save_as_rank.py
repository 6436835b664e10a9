"""One rank that saves checkpoints; run by the tests as ``save_as_rank.py FOLDER RANK WORLD_SIZE MODE``.

Modes: ``once`` saves step 1; ``blocked`` has a table on the last rank whose name no file system takes; ``forever``
saves one step after the other until it is killed.
"""

import itertools
import os
import sys
from pathlib import Path

import torch
import torch.distributed as dist

from saccade.models.table import Table
from saccade.pipelines.checkpoint.writer import save
from saccade.pipelines.collective import Collective
from saccade.pipelines.engine import EngineState
from saccade.pipelines.errors import UserError
from saccade.pipelines.shard import TableShard

ROWS, DIM = 2000, 64


def main() -> int:
    folder, rank, world_size, mode = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    if world_size > 1:
        dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=world_size)
    weight = torch.arange(ROWS * DIM, dtype=torch.float32).reshape(ROWS, DIM)
    rows = (rank * ROWS // world_size, (rank + 1) * ROWS // world_size)
    part = weight[slice(*rows)]
    shards = [TableShard("items", rows, (0, DIM), part, {"sum": -part})]
    tables = [Table("items", ROWS, DIM, ("item",))]
    if mode == "blocked":
        tables.append(Table("x" * 300, 1, 1, ("f",)))
        if rank == world_size - 1:
            shards.append(TableShard("x" * 300, (0, 1), (0, 1), torch.zeros(1, 1), {}))
    state = EngineState(shards, {f"weight/layer{rank}": torch.full((3,), float(rank))})
    for step in itertools.count(1):
        try:
            save(
                folder / "checkpoints",
                state,
                step=step,
                training={"rank": rank},
                job={},
                tables=tables,
                collective=Collective(),
            )
        except UserError as error:
            print(error)
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
