"""Small trainings of click models that any engine can run, for tests of what all of them promise."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from itertools import count, islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch

from saccade.cluster.job import CtrJob, parse_job
from saccade.cluster.training.ctr import ctr_task
from saccade.cluster.training.engines import make_engine
from saccade.cluster.training.facts import gather_facts
from saccade.cluster.training.readers import make_reader
from saccade.cluster.training.transforms import load_transforms
from saccade.pipelines.checkpoint.reader import CheckpointReader
from saccade.pipelines.checkpoint.writer import save
from saccade.pipelines.collective import Collective
from saccade.pipelines.tasks.ctr import Ctr

FEATURES: list[dict[str, Any]] = [
    {"column": "item"},
    {"column": "genres", "type": "ids", "pooling": "attention"},
    {"column": "tags", "type": "ids", "pooling": "sum"},
    {"column": "price", "type": "number"},
    {"column": "age", "type": "number"},
]
HISTORY: dict[str, Any] = {"events": [{"column": "items", "target": "item"}, {"column": "stars"}]}

MODELS: Mapping[str, dict[str, Any]] = {
    "mean_pooling": {"model": {"name": "mean_pooling"}, "engine": {"zero_stage": 0}},
    "din": {"model": {"name": "din"}},
    "din_softmax": {"model": {"name": "din", "normalizer": "softmax", "activation": "prelu"}},
    "bst": {"model": {"name": "bst", "hidden": 12, "heads": 2}, "engine": {"zero_stage": 2}},
    "dien": {"model": {"name": "dien"}, "engine": {"zero_stage": 2}},
    "target_attention": {"model": {"name": "target_attention"}, "engine": {"zero_stage": 3}},
    "dlrm": {"model": {"name": "dlrm"}, "data": {"history": None}},
    "dlrm_history": {"model": {"name": "dlrm"}},
    "dcnv2": {"model": {"name": "dcnv2", "rank": 3}, "data": {"history": None}, "engine": {"zero_stage": 3}},
    "dcnv2_history": {"model": {"name": "dcnv2", "crosses": 2}, "engine": {"sharding": "replicated"}},
    "mmoe": {"model": {"name": "din", "experts": 3}, "data": {"labels": ["click", "like"]}},
    "search": {
        "model": {"name": "din"},
        "data": {"history": HISTORY | {"search": {"column": "kinds", "target": "kind"}}},
    },
}
"""What a job says besides what all of them do."""


def write_rows(folder: Path, rows: int = 150) -> None:
    """Random rows in a train and a valid split; histories of 0 to 9 events, nulls among numbers and ids."""
    rng = torch.Generator().manual_seed(1)

    def ints(high: int, size: int, low: int = 0) -> list[int]:
        return torch.randint(low, high, (size,), generator=rng).tolist()

    lengths = ints(10, rows)
    lengths[:3] = [0, 1, 9]

    def maybe(values: list[Any]) -> list[Any]:
        return [None if chance == 0 else value for value, chance in zip(values, ints(6, rows), strict=True)]

    table = pa.table(
        {
            "user": pa.array(ints(9, rows)),
            "item": pa.array(maybe(ints(20, rows, 1)), pa.int64()),
            "genres": pa.array([ints(7, n) for n in ints(4, rows)], pa.list_(pa.int64())),
            "tags": pa.array(maybe([ints(5, n) for n in ints(3, rows)]), pa.list_(pa.int64())),
            "price": pa.array(maybe(torch.randn(rows, generator=rng).tolist()), pa.float64()),
            "age": pa.array(maybe(ints(3, rows)), pa.int32()),
            "kind": pa.array(ints(3, rows)),
            "items": pa.array([ints(20, n, 1) for n in lengths], pa.list_(pa.int64())),
            "stars": pa.array([ints(6, n) for n in lengths], pa.list_(pa.int64())),
            "kinds": pa.array([ints(3, n) for n in lengths], pa.list_(pa.int64())),
            "click": pa.array(ints(2, rows)),
            "like": pa.array(ints(2, rows)),
        }
    )
    for split in ("train", "valid"):
        (folder / split).mkdir(parents=True)
        pq.write_table(table, folder / split / "part-0.parquet", row_group_size=40)


def describe_job(name: str, data: Path, engine: str = "reference") -> dict[str, Any]:
    """The job of one of ``MODELS``; lanes run dry at different times, so that some micro-batches are empty."""
    special = MODELS[name]
    return {
        "task": "ctr",
        "run": {"name": name, "seed": 5},
        "data": {"path": str(data), "labels": ["click"], "user": "user", "window": 16, "max_length": 6}
        | {"features": FEATURES, "history": HISTORY}
        | special.get("data", {}),
        "model": {"dim": 8, "layers": [12, 5], "dropout": 0.2} | special["model"],
        "tables": {"features": {"standard_deviation": 0.3, "optimizer": {"weight_decay": 0.01}}},
        "optimizer": {"weight_decay": 0.01},
        "train": {"micro_batches": 4, "tokens": 40},
        "engine": {"name": engine, "device": "cpu", "sharding": "row"} | special.get("engine", {}),
    }


def make_job(name: str, data: Path, engine: str = "reference") -> CtrJob:
    """What ``describe_job`` says, as a job."""
    job = parse_job(describe_job(name, data, engine))
    assert isinstance(job, CtrJob)
    return job


def make_task(job: CtrJob, artifacts: Path) -> Ctr:
    """Its task, with facts from the data."""
    return ctr_task(job, gather_facts(job, artifacts))


def train(
    name: str, data: Path, output: Path, steps: int, first: int = 0, start: Path | None = None, engine: str = "hybrid"
) -> None:
    """Take steps [first, steps) and save a checkpoint to ``output``."""
    job = make_job(name, data, engine)
    task = make_task(job, data)
    running = make_engine(job, task, torch.device("cpu"))
    if start:
        running.load(CheckpointReader(next(start.glob("step-*"))))
    collective = Collective()
    reader = make_reader(job, task, "train", collective, load_transforms(job, data))

    def stream() -> Any:
        for epoch in count():
            with closing(reader.steps(epoch)) as items:
                for item in items:
                    targets = int(collective.sum(torch.tensor(sum(b.targets for b in item.batches))))
                    if not targets:
                        break
                    yield item.batches, targets

    for batches, targets in islice(stream(), first, steps):
        running.step(batches, targets, 1.0)
    save(output, running.state(), step=steps, training={}, job={}, tables=task.tables, collective=collective)
