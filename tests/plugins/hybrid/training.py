"""A small next-item training that any engine can run, for tests of parity; ranks are spawned processes over gloo."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
import torch.multiprocessing as mp

from saccade.models.losses.sampled_softmax import sampled_softmax
from saccade.models.recommendation.sasrec import SASRec
from saccade.pipelines.checkpoint.reader import CheckpointReader
from saccade.pipelines.checkpoint.writer import save
from saccade.pipelines.collective import Collective
from saccade.pipelines.engine import Engine
from saccade.pipelines.optimizers import NetworkOptimizer, TableOptimizer
from saccade.pipelines.order.reader import Reader
from saccade.pipelines.parquet.source import Source
from saccade.pipelines.reference import ReferenceEngine
from saccade.pipelines.tasks.negatives import ScoredLoss
from saccade.pipelines.tasks.next_item import NextItem

ITEMS = 60


@dataclass(frozen=True)
class Settings:
    """What differs between the runs that must agree."""

    engine: str = "reference"
    workers: int = 1
    zero_stage: int = 0
    sharding: Any = "row"
    lanes: int = 4
    steps: int = 20
    table: TableOptimizer = field(default_factory=lambda: TableOptimizer("adagrad", 0.05))
    network: NetworkOptimizer = field(default_factory=lambda: NetworkOptimizer("adamw", 1e-3, weight_decay=0.01))
    dropout: float = 0.2


def write_histories(folder: Path, users: int = 400) -> None:
    """Random histories, some too short to train on."""
    torch.manual_seed(0)
    histories = [torch.randint(1, ITEMS, (int(n),)).tolist() for n in torch.randint(1, 30, (users,))]
    table = pa.table({"history": pa.array(histories, pa.list_(pa.int64()))})
    pq.write_table(table, folder / "part-0.parquet", row_group_size=70)


def make_task(dropout: float) -> NextItem:
    """A small SASRec with sampled softmax."""
    return NextItem(
        history="history",
        max_length=16,
        items=ITEMS,
        build=partial(SASRec, dim=16, blocks=2, heads=2, hidden=32, dropout=dropout, max_length=16),
        dim=16,
        standard_deviation=0.1,
        loss=ScoredLoss(8, True, sampled_softmax),
        ks=[10],
    )


def make_engine(settings: Settings, task: NextItem) -> Engine:
    """The engine that the settings name."""
    common: Mapping[str, Any] = {
        "optimizer": settings.network,
        "table_optimizers": {"items": settings.table},
        "seed": 7,
        "device": torch.device("cpu"),
    }
    if settings.engine == "reference":
        return ReferenceEngine(task, **common)
    from saccade.plugins.hybrid.engine import HybridEngine

    return HybridEngine(
        task, lanes=settings.lanes, zero_stage=settings.zero_stage, sharding=settings.sharding, **common
    )


def run(settings: Settings, data: Path, output: Path, start: Path | None = None) -> None:
    """Take the steps in this process and save a checkpoint to ``output``."""
    collective = Collective()
    task = make_task(settings.dropout)
    source = Source.open(str(data), None, task.columns)
    engine = make_engine(settings, task)
    if start:
        engine.load(CheckpointReader(start))
    reader = Reader(
        source,
        task,
        "train",
        seed=3,
        lanes=settings.lanes,
        window=64,
        tokens=90,
        rank=collective.rank,
        world_size=collective.world_size,
    )
    with closing(reader.steps(0)) as steps:
        for item in islice(steps, settings.steps):
            targets = int(collective.sum(torch.tensor(sum(b.targets for b in item.batches))))
            if targets:
                engine.step(item.batches, targets, 1.0)
    save(output, engine.state(), step=settings.steps, training={}, job={}, tables=task.tables, collective=collective)


def _rank(rank: int, settings: Settings, data: Path, output: Path, start: Path | None, port: int) -> None:
    os.environ.update(
        MASTER_ADDR="127.0.0.1",
        MASTER_PORT=str(port),
        RANK=str(rank),
        LOCAL_RANK=str(rank),
        WORLD_SIZE=str(settings.workers),
        LOCAL_WORLD_SIZE=str(settings.workers),
        DS_ACCELERATOR="cpu",
    )
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", rank=rank, world_size=settings.workers)
    run(settings, data, output, start)
    torch.distributed.destroy_process_group()


def train(settings: Settings, data: Path, output: Path, port: int, start: Path | None = None) -> CheckpointReader:
    """Run the settings, in processes of their own where they are hybrid, and open the checkpoint that they left."""
    if settings.engine == "reference":
        run(settings, data, output, start)
    else:
        mp.spawn(_rank, (settings, data, output, start, port), nprocs=settings.workers)
    return CheckpointReader(next(output.glob("step-*")))


def largest_difference(left: CheckpointReader, right: CheckpointReader) -> float:
    """Over all weights of tables and network."""
    differences = [(left.table(t, "weight") - right.table(t, "weight")).abs().max() for t in left.manifest.tables]
    names = sorted(name for name in left.network if name.startswith("weight/"))
    assert names == sorted(name for name in right.network if name.startswith("weight/"))
    differences += [(left.network[name] - right.network[name]).abs().max() for name in names]
    return float(torch.stack(differences).max())
