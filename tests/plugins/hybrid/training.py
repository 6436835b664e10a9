"""A small next-item training that any engine can run, for tests of parity."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count, islice
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import torch
from tests.plugins.hybrid.models import ITEMS, MODELS, histories
from torch import Tensor, nn

from saccade.models.attention.choice import FROM_END, TRANSFORMER, AttentionChoice
from saccade.models.jagged import Jagged
from saccade.models.losses.binary import bce
from saccade.models.losses.full_softmax import FullSoftmax
from saccade.models.losses.sampled_softmax import sampled_softmax
from saccade.models.recommendation.sasrec import SASRec
from saccade.models.registry import Choice
from saccade.models.table import Table
from saccade.pipelines.batch import Batch
from saccade.pipelines.checkpoint.reader import CheckpointReader
from saccade.pipelines.checkpoint.writer import save
from saccade.pipelines.collective import Collective
from saccade.pipelines.engines.engine import Engine, StepResult
from saccade.pipelines.engines.precision import Precision
from saccade.pipelines.engines.reference import ReferenceEngine
from saccade.pipelines.optimizers import NetworkOptimizer, TableOptimizer
from saccade.pipelines.order.reader import Reader
from saccade.pipelines.parquet.source import Source
from saccade.pipelines.records.progress import Progress
from saccade.pipelines.tasks.negatives import ScoredLoss
from saccade.pipelines.tasks.next_item import NextItem
from saccade.pipelines.training.evaluate import evaluate
from saccade.pipelines.training.loop import Course, Training
from saccade.pipelines.training.schedule import Schedule
from saccade.pipelines.training.state import TrainingState

DIM = 16

COURSE = Course(
    epochs=2,
    schedule=Schedule("cosine", warmup_steps=3),
    log_every=1,
    learning_rate=1e-3,
    evaluate_every=1,
    select="valid/ndcg@10",
    patience=None,
    save_every=0.0,
    keep_last=1000,
    keep_best=1,
)


@dataclass(frozen=True)
class Settings:
    """What differs between the runs that must agree, and between those that needn't (``recipe``)."""

    engine: str = "reference"
    zero_stage: int = 0
    sharding: Any = "row"
    shardings: tuple[tuple[str, Any], ...] = ()
    local_size: int | None = None
    offload: bool = False
    lanes: int = 4
    table: TableOptimizer = field(default_factory=lambda: TableOptimizer("adagrad", 0.05))
    network: NetworkOptimizer = field(default_factory=lambda: NetworkOptimizer("adamw", 1e-3, weight_decay=0.01))
    other_table: TableOptimizer | None = None
    shared_negatives: bool = True
    full_softmax: FullSoftmax | None = None
    precision: Precision = "fp32"
    clip: float | None = None
    loss_scale: float | None = None
    decay: float = 5.0
    attention: AttentionChoice = FROM_END
    block: str = "transformer"
    model: str | None = None
    first: int = 0
    steps: int = 20

    @property
    def recipe(self) -> Settings:
        """The same training by the reference engine, from the first step on."""
        where: Any = {"zero_stage": 0, "sharding": "row", "shardings": (), "local_size": None, "offload": False}
        return replace(self, engine="reference", first=0, **where)


class Odd(nn.Module):
    """SASRec with parameters of 1 and 33 elements, which don't divide by two ranks."""

    def __init__(
        self, dropout: float = 0.2, attention: AttentionChoice = FROM_END, block: Choice = TRANSFORMER
    ) -> None:
        super().__init__()
        self.model = SASRec(DIM, 2, 2, hidden=33, dropout=dropout, max_length=16, attention=attention, block=block)
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, items: Jagged) -> Tensor:
        scaled: Tensor = self.model(items) * self.scale
        return scaled


def write_histories(folder: Path, users: int = 300) -> None:
    """Random histories, some too short to train on."""
    pq.write_table(histories(users), folder / "part-0.parquet", row_group_size=70)


def make_task(settings: Settings) -> NextItem:
    """A small SASRec, or the model that the settings name; with ``other_table`` negatives have a table of their own."""
    if settings.model:
        return MODELS[settings.model]()
    loss = ScoredLoss(8, True, sampled_softmax) if settings.shared_negatives else ScoredLoss(2, False, bce)
    task = NextItem(
        history="history",
        max_length=16,
        items=ITEMS,
        build=partial(Odd, attention=settings.attention, block=Choice.of(settings.block)),
        dim=DIM,
        standard_deviation=0.1,
        loss=settings.full_softmax or loss,
        ks=[10],
        latest=0.5,
    )
    if settings.other_table:
        task.tables = [Table("items", ITEMS, DIM, ("history",), 0.1), Table("others", ITEMS, DIM, ("negatives",), 0.2)]
    return task


def make_engine(settings: Settings, task: NextItem) -> Engine:
    """The engine that the settings name."""
    common: Mapping[str, Any] = {
        "optimizer": settings.network,
        "table_optimizers": {t.name: settings.table for t in task.tables} | {"others": settings.other_table},
        "seed": 7,
        "device": torch.device("cpu"),
        "precision": settings.precision,
        "clip": settings.clip,
    }
    if settings.engine == "reference":
        return ReferenceEngine(task, **common)
    from saccade.plugins.hybrid.engine import HybridEngine

    world_size = Collective().world_size
    os.environ["LOCAL_WORLD_SIZE"] = str(settings.local_size or world_size)
    return HybridEngine(
        task,
        lanes=settings.lanes,
        zero_stage=settings.zero_stage,
        shardings={table.name: settings.sharding for table in task.tables} | dict(settings.shardings),
        offload_optimizer=settings.offload,
        **common,
    )


def make_reader(settings: Settings, task: NextItem, data: Path, split: Any = "train") -> Reader:
    """This rank's part of the rows."""
    collective = Collective()
    return Reader(
        Source.open(str(data), None, task.columns),
        task,
        split,
        seed=3,
        lanes=settings.lanes,
        window=40,
        tokens=90,
        rank=collective.rank,
        world_size=collective.world_size,
    )


def _steps(reader: Reader, collective: Collective) -> Iterator[tuple[list[Batch], int]]:
    """This rank's micro-batches and the step's targets, one epoch after the other."""
    for epoch in count():
        with closing(reader.steps(epoch)) as steps:
            for item in steps:
                targets = int(collective.sum(torch.tensor(sum(b.targets for b in item.batches))))
                if not targets:
                    break
                yield list(item.batches), targets


def train(settings: Settings, data: Path, output: Path, start: Path | None = None) -> list[StepResult]:
    """Take steps [first, steps) in this process, save a checkpoint to ``output``, and say what became of each."""
    task = make_task(settings)
    engine = make_engine(settings, task)
    if settings.loss_scale:
        engine.scaling.scale = settings.loss_scale  # type: ignore[attr-defined]
    if start:
        engine.load(CheckpointReader(start))
    stream = _steps(make_reader(settings, task, data), engine.collective)
    results = [
        # The schedule's factor differs from step to step, tables and network must both follow it.
        engine.step(batches, targets, 1 / (1 + number / settings.decay))
        for number, (batches, targets) in islice(enumerate(stream), settings.first, settings.steps)
    ]
    path = save(
        output,
        engine.state(),
        step=settings.steps,
        training={},
        job={},
        tables=task.tables,
        collective=engine.collective,
    )
    assert path.is_dir()
    return results


def opened(output: Path) -> CheckpointReader:
    """The checkpoint that a training left."""
    return CheckpointReader(next(output.glob("step-*")))


def differences(left: CheckpointReader, right: CheckpointReader) -> dict[str, float]:
    """The largest difference of each tensor: of tables and network, weights and optimizer state."""
    assert set(left.network) == set(right.network)
    assert set(left.manifest.tables) == set(right.manifest.tables)
    found = {name: (left.network[name] - right.network[name]).abs().max() for name in left.network}
    for table in left.manifest.tables:
        assert left.states(table) == right.states(table)
        for state in ("weight", *left.states(table)):
            found[f"{table}/{state}"] = (left.table(table, state) - right.table(table, state)).abs().max()
    return {name: float(value) for name, value in found.items()}


def call(settings: Settings, data: Path, output: Path, start: Path | None = None) -> partial[list[StepResult]]:
    """:func:`train` for a list of calls; ``start`` is the folder that another training was saved to."""
    return partial(train, settings, data, output, start and start / f"step-{settings.first:08d}")


class StoppedError(Exception):
    """A training was stopped by its test."""


class StoppableTraining(Training):
    """Stops on all ranks alike, right after the checkpoints of certain steps."""

    stops: tuple[int, ...] = ()

    def save(self) -> None:
        super().save()
        if self.state.step in self.stops:
            raise StoppedError


def run_course(
    settings: Settings, data: Path, folder: Path, stops: tuple[int, ...] = (), trackers: Any = (), **changes: Any
) -> TrainingState:
    """Train by the loop, with a checkpoint after each step, from the newest checkpoint in ``folder`` on."""
    task = make_task(settings)
    engine = make_engine(settings, task)
    newest = max(folder.glob("step-*"), default=None)
    state = TrainingState()
    if newest:
        engine.load(CheckpointReader(newest))
        state = TrainingState.from_json(CheckpointReader(newest).manifest.training)
    reader = make_reader(settings, task, data)
    valid = make_reader(settings, task, data, "valid")
    training = StoppableTraining(
        engine=engine,
        task=task,
        reader=reader,
        rows=reader.rows,
        course=replace(COURSE, **{k: v for k, v in changes.items() if k != "validate"}),
        state=state,
        validate=changes.get("validate", lambda: evaluate(engine, task, valid, "valid").metrics),
        folder=folder,
        job={},
        trackers=trackers,
        progress=Progress(None),
    )
    training.stops = stops
    with suppress(StoppedError):
        training.run()
    engine.collective.barrier()
    return state
