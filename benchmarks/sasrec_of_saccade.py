"""A contestant of `benchmarks/sasrec.py`: one rank of Saccade's own training loop over a job, turn by turn.

    python benchmarks/sasrec_of_saccade.py '{"job": {…}, "items": 3417, "threads": 2, "folder": "FOLDER"}'

A job with several workers wants a process for each, with RANK and WORLD_SIZE set and the same new ``folder``.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Generator
from contextlib import closing, suppress
from pathlib import Path

import torch
from turns import Turns

from saccade.cluster.job.parse import parse_job
from saccade.cluster.training.engines import make_engine
from saccade.cluster.training.readers import make_reader
from saccade.cluster.training.tasks import make_task
from saccade.pipelines.memory import keep_freed_memory
from saccade.pipelines.order.reader import LanePosition, Reader, StepInput
from saccade.pipelines.records.progress import Progress
from saccade.pipelines.training.loop import Course, Training
from saccade.pipelines.training.schedule import Schedule
from saccade.pipelines.training.state import TrainingState
from saccade.pipelines.transforms.chain import Chain
from saccade.plugins.ray.quiet import silence

CPU = torch.device("cpu")


class TurnByTurn:
    """A reader that waits between two steps for this contestant's turn, that is when the loop asks for more."""

    def __init__(self, reader: Reader, turns: Turns) -> None:
        self.reader, self.turns, self.mine = reader, turns, reader.mine

    def steps(self, epoch: int, start: dict[int, LanePosition] | None = None) -> Generator[StepInput]:
        """The reader's; every rank counts the same number of them, empty ones too where other ranks' are not."""
        with closing(self.reader.steps(epoch, start)) as items:
            for item in items:
                yield item
                positions = sum(batch.targets for batch in item.batches)
                self.turns.step(positions, sum(len(batch.rows) for batch in item.batches))


def main() -> None:
    """Train until there are no more turns."""
    turns, settings = Turns(), json.loads(sys.argv[1])
    keep_freed_memory()
    torch.set_num_threads(settings["threads"])
    folder, job = Path(settings["folder"]), parse_job(settings["job"])
    if job.engine.name == "hybrid":
        silence()
        rank, ranks = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
        meeting = f"file://{folder}/meeting"
        torch.distributed.init_process_group("gloo", init_method=meeting, rank=rank, world_size=ranks)
    task = make_task(job, {"items": settings["items"]}, folder)
    engine = make_engine(job, task, CPU)
    reader = make_reader(job, task, "train", engine.collective, Chain(()))
    course = Course(
        epochs=1 << 30,
        learning_rate=job.optimizer.learning_rate,
        schedule=Schedule(),
        log_every=job.train.log_every,
        evaluate_every=1 << 30,
        select="",
        patience=None,
        save_every=float("inf"),
        keep_last=1,
        keep_best=1,
    )
    training = Training(
        engine=engine,
        task=task,
        reader=TurnByTurn(reader, turns),  # type: ignore[arg-type]
        rows=reader.rows,
        course=course,
        state=TrainingState(),
        validate=None,
        folder=folder / "checkpoints",
        job=settings["job"],
        trackers=[],
        progress=Progress(None),
    )
    turns.ready(torch=torch.__version__, threads=torch.get_num_threads())
    with suppress(SystemExit):
        training.run()
    sys.stderr.flush()
    os._exit(0)  # gloo's threads may still hold tensors, and then the interpreter's end aborts (pytorch#179291)


if __name__ == "__main__":
    main()
