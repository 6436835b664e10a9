"""Trainings on real processes that record the rows of each step, and may be killed at any moment.

The processes are forked from one that has imported everything, so that a start takes a second and not ten.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from tests.plugins.hybrid.training import COURSE, Settings, make_engine, make_reader, make_task

from saccade.pipelines.checkpoint.reader import CheckpointReader
from saccade.pipelines.collective import Collective
from saccade.pipelines.order.reader import LanePosition, Reader, StepInput
from saccade.pipelines.records.progress import Progress
from saccade.pipelines.training.evaluate import evaluate
from saccade.pipelines.training.loop import Training
from saccade.pipelines.training.saving import find_newest
from saccade.pipelines.training.state import TrainingState
from saccade.pipelines.training.stop import Stop, Stopped

EPOCHS = 4

Rows = dict[tuple[int, int], list[int]]
"""(step, lane) -> the rows that it trained on."""


@dataclass(frozen=True)
class Recorded:
    """A run whose every start leaves the rows of its steps, a line a step and rank."""

    folder: Path

    @property
    def checkpoints(self) -> Path:
        return self.folder / "checkpoints"

    def records(self, start: int, rank: int) -> Path:
        return self.folder / f"rows-{start:03d}-{rank}.jsonl"

    @property
    def starts(self) -> int:
        return len({path.name[:8] for path in self.folder.glob("rows-*")})

    def rows(self) -> Rows:
        """Of each step as it was trained last."""
        found: Rows = {}
        for path in sorted(self.folder.glob("rows-*")):  # a later start's lines after those of an earlier one
            for line in path.read_text().splitlines():
                with suppress(ValueError):  # cut short by a kill
                    one = json.loads(line)
                    found.update({(one["step"], int(lane)): rows for lane, rows in one["lanes"].items()})
        return found

    def epochs(self) -> dict[int, list[int]]:
        """Epoch -> all of its rows."""
        steps = sorted({step for step, _ in self.rows()})
        ends = sorted(int(path.name[6:]) for path in self.folder.glob("epoch-*"))
        by_epoch: dict[int, list[int]] = {number: [] for number in range(len(ends))}
        for (step, _), rows in sorted(self.rows().items()):
            by_epoch[sum(end < step for end in ends)] += rows
        assert steps == list(range(1, ends[-1] + 1))
        return by_epoch


class _Recorder:
    """A tracker that writes the rows of the step that was taken, and may ask to stop or wait at it."""

    def __init__(self, run: Recorded, start: int, reader: Reader, stop_at: int | None) -> None:
        self.run, self.reader, self.stop_at = run, reader, stop_at
        self.file = run.records(start, Collective().rank).open("a")
        self.item: StepInput | None = None

    def steps(self, epoch: int, start: dict[int, LanePosition] | None = None) -> Iterator[StepInput]:
        with closing(Reader.steps(self.reader, epoch, start)) as steps:
            for item in steps:
                self.item = item
                yield item

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        if "train/loss" not in metrics:
            (self.run.folder / f"epoch-{step:06d}").touch()
            return
        assert self.item is not None
        lanes = dict(zip(self.reader.mine, [b.rows.tolist() for b in self.item.batches], strict=False))
        self.file.write(json.dumps({"step": step, "lanes": lanes}) + "\n")
        self.file.flush()
        if step == self.stop_at:
            Stop.request()

    def finish(self, result: Mapping[str, Any]) -> None: ...


def train(settings: Settings, data: Path, run: Recorded, start: int, stop_at: int | None, save_every: float) -> None:
    """Go on from the newest checkpoint to the end, or to the step after ``stop_at``."""
    task = make_task(settings)
    engine = make_engine(settings, task)
    state = TrainingState()
    newest = find_newest(run.checkpoints, engine.collective, Progress(None))
    if newest:
        checkpoint = CheckpointReader(newest)
        engine.load(checkpoint)
        state = TrainingState.from_json(checkpoint.manifest.training)
    reader, valid = make_reader(settings, task, data), make_reader(settings, task, data, "valid")
    recorder = _Recorder(run, start, reader, stop_at)
    reader.steps = recorder.steps  # type: ignore[method-assign,assignment]
    course = replace(COURSE, epochs=EPOCHS, save_every=save_every, keep_last=2)
    training = Training(
        engine=engine,
        task=task,
        reader=reader,
        rows=reader.rows,
        course=course,
        state=state,
        validate=lambda: evaluate(engine, task, valid, "valid").metrics,
        folder=run.checkpoints,
        job={},
        trackers=[recorder],
        progress=Progress(None),
    )
    with suppress(Stopped):
        training.run()
    engine.collective.barrier()


def _rank(rank: int, workers: int, store: Path, arguments: Sequence[Any]) -> None:
    """A worker's own process."""
    log = os.open(f"{store}-{rank}.log", os.O_WRONLY | os.O_CREAT)
    os.dup2(log, 1)
    os.dup2(log, 2)
    local = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": workers, "LOCAL_WORLD_SIZE": workers}
    os.environ.update({name: str(value) for name, value in local.items()})
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=workers)
    train(*arguments)
    dist.barrier()
    # Gloo's threads may still hold tensors, and then the interpreter's end aborts the process (pytorch#179291).
    os._exit(0)


@contextmanager
def started(
    settings: Settings, data: Path, run: Recorded, workers: int, stop_at: int | None = None, save_every: float = 0.05
) -> Iterator[tuple[list[BaseProcess], Path]]:
    """The processes of one more start of a run, none of which is left behind, and the file where rank 0 records."""
    os.environ["DS_ACCELERATOR"] = "cpu"
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.plugins.hybrid.recorded", "saccade.plugins.hybrid.engine", "deepspeed"])
    run.folder.mkdir(exist_ok=True)
    start = run.starts
    arguments = (settings, data, run, start, stop_at, save_every)
    store = run.folder / f"store-{time.time_ns()}"
    ranks: list[BaseProcess] = [
        context.Process(target=_rank, args=(rank, workers, store, arguments)) for rank in range(workers)
    ]
    for process in ranks:
        process.start()
    try:
        yield ranks, run.records(start, 0)
    finally:
        for process in ranks:
            process.kill()
            process.join()


def run_to_end(settings: Settings, data: Path, run: Recorded, workers: int, stop_at: int | None = None) -> None:
    """Start a run once more and wait until it ends."""
    with started(settings, data, run, workers, stop_at) as (ranks, _):
        for process in ranks:
            process.join(timeout=200)
        codes = [process.exitcode for process in ranks]
        assert codes == [0] * workers, "\n".join(path.read_text()[-3000:] for path in sorted(run.folder.glob("*.log")))


def run_killed(settings: Settings, data: Path, run: Recorded, workers: int, kills: int, seed: int) -> None:
    """Start a run again and again, each time SIGKILL one process at a random moment and then the rest; let it end."""
    moments = random.Random(seed)
    for _ in range(kills):
        steps, delay, victim = moments.randint(0, 7), moments.uniform(0, 0.05), moments.randrange(workers)
        with started(settings, data, run, workers) as (ranks, records):
            while not records.exists() or len(records.read_text().splitlines()) < steps:
                assert all(process.is_alive() for process in ranks), "it ended before it was killed"
                time.sleep(0.01)
            time.sleep(delay)
            assert ranks[victim].is_alive()
            ranks[victim].kill()
            ranks[victim].join()
    run_to_end(settings, data, run, workers)
