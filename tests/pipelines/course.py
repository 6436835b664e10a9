"""A small training by the loop, on any engine, that can be disturbed: rows that give no number, a request to stop."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from tests.plugins.hybrid.training import COURSE, ITEMS, Settings, make_engine, make_reader, make_task

from saccade.pipelines.checkpoint.reader import CheckpointReader
from saccade.pipelines.engines.engine import Engine
from saccade.pipelines.parquet.source import Source
from saccade.pipelines.records.progress import Progress
from saccade.pipelines.training.evaluate import evaluate
from saccade.pipelines.training.loop import Training
from saccade.pipelines.training.state import TrainingState
from saccade.pipelines.training.stop import Stop

BAD = ITEMS - 1
"""The item that makes a micro-batch's loss, or only its gradient, NaN."""


def write_histories(folder: Path, bad: Sequence[int] = (), users: int = 240) -> Path:
    """Two files of random histories; those at the rows ``bad`` hold the bad item."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = torch.Generator().manual_seed(5)
    lengths = torch.randint(6, 30, (users,), generator=rng).tolist()
    histories = [torch.randint(1, BAD, (n,), generator=rng).tolist() for n in lengths]
    for row in bad:
        histories[row][-4] = BAD  # among the latest items that are trained on
    for number, part in enumerate((histories[: users // 2], histories[users // 2 :])):
        table = pa.table({"history": pa.array(part, pa.list_(pa.int64()))})
        pq.write_table(table, folder / f"part-{number}.parquet", row_group_size=50)
    return folder


class Tracker:
    """Keeps what it is told, and does something at steps."""

    def __init__(self, at_step: Callable[[int], object] = lambda step: None) -> None:
        self.lines: list[tuple[int, dict[str, float]]] = []
        self.at_step = at_step

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        timed = ("train/events_per_second", "train/step_seconds", "train/data_wait")
        self.lines.append((step, {name: value for name, value in metrics.items() if name not in timed}))
        self.at_step(step)

    def finish(self, result: Mapping[str, Any]) -> None:
        raise AssertionError("the loop doesn't know the result")

    def of(self, name: str) -> dict[int, float]:
        return {step: metrics[name] for step, metrics in self.lines if name in metrics}


class Run:
    """One start of a training in a folder, from its newest checkpoint on."""

    def __init__(
        self,
        data: Path,
        folder: Path,
        *,
        settings: Settings | None = None,
        tracker: Tracker | None = None,
        harm: str | None = None,
        **course: Any,
    ) -> None:
        settings = settings or Settings()
        task = make_task(settings)
        task.latest = 1.0
        if harm:
            task.loss = Harmed(harm, task.loss)  # type: ignore[method-assign]
        self.folder, self.tracker = folder, tracker or Tracker()
        self.engine: Engine = make_engine(settings, task)
        rank = self.engine.collective.rank
        self.state = TrainingState()
        newest = max((folder / "checkpoints").glob("step-????????"), default=None)
        if newest:
            self.engine.load(CheckpointReader(newest))
            self.state = TrainingState.from_json(CheckpointReader(newest).manifest.training)
        stop = Stop(folder if rank == 0 else None)
        reader, valid = make_reader(settings, task, data), make_reader(settings, task, data, "valid")
        self.validate: Callable[[], dict[str, float]] = lambda: (
            evaluate(self.engine, task, valid, "valid", stop).metrics
        )
        self.training = Training(
            engine=self.engine,
            task=task,
            reader=reader,
            rows=reader.rows,
            course=replace(COURSE, **course),
            state=self.state,
            validate=lambda: self.validate(),
            folder=folder / "checkpoints",
            job={},
            trackers=[self.tracker] if rank == 0 else [],
            progress=Progress(folder if rank == 0 else None),
            where=Source.open(str(data), None, task.columns).where,
            stop=stop,
        )

    def go(self) -> Run:
        self.training.run()
        return self

    @property
    def steps(self) -> list[int]:
        """Of the checkpoints that are there."""
        return sorted(int(path.name.removeprefix("step-")) for path in (self.folder / "checkpoints").glob("step-*"))

    def checkpoint(self, step: int | None = None) -> CheckpointReader:
        return CheckpointReader(self.folder / "checkpoints" / f"step-{self.steps[-1] if step is None else step:08d}")

    @property
    def log(self) -> list[str]:
        """The messages without their time."""
        return [line[20:] for line in (self.folder / "log.txt").read_text().splitlines()]


class Harmed:
    """A loss that isn't finite in micro-batches with the bad item: ``loss``, or only its ``gradient``."""

    def __init__(self, what: str, loss: Callable[..., torch.Tensor]) -> None:
        self.what, self.loss = what, loss

    def __call__(self, output: torch.Tensor, embeddings: Any, batch: Any) -> torch.Tensor:
        loss = self.loss(output, embeddings, batch)
        if not (batch.lookups["history"] == BAD).any():
            return loss
        # The root of zero is zero, and its slope infinite.
        return loss * torch.nan if self.what == "loss" else loss + (output.sum() * 0).abs().sqrt()
