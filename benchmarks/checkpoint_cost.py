"""What checkpoints cost a training: written beside it, with the training waiting for them, and none, side by side.

Trains SASRec with a large item table by the real loop and the ReferenceEngine, on random histories. The same
steps are taken three times a round, the contestants' order rotating from round to round, and each time the clock runs
from one of the first steps to the last one. The cost is the part by which that is longer than without checkpoints; the
median over the rounds counts. The same for the processor time of the process, all threads together, tells on a machine
that does other things as well what the cost would be with all cores taken by the training.

    python benchmarks/checkpoint_cost.py --json
    python benchmarks/checkpoint_cost.py --interval 3 --seconds 10 --items 50000
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy
import pyarrow
import pyarrow.parquet
import torch

from saccade.models.losses.sampled_softmax import sampled_softmax
from saccade.models.recommendation.sasrec import SASRec
from saccade.pipelines.checkpoint.saver import Saver
from saccade.pipelines.engines.engine import EngineState
from saccade.pipelines.engines.reference import ReferenceEngine
from saccade.pipelines.optimizers import NetworkOptimizer, TableOptimizer
from saccade.pipelines.order.reader import Reader
from saccade.pipelines.parquet.source import Source
from saccade.pipelines.records.progress import Progress
from saccade.pipelines.tasks.negatives import ScoredLoss
from saccade.pipelines.tasks.next_item import NextItem
from saccade.pipelines.training.loop import Course, Training
from saccade.pipelines.training.schedule import Schedule
from saccade.pipelines.training.state import TrainingState

WARMUP = 5
CONTESTANTS = ("none", "beside", "waiting")


class Clock:
    """A tracker that notes when each step ends."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.processor: list[float] = []

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Note the time."""
        self.times.append(time.perf_counter())
        self.processor.append(time.process_time())

    def finish(self, result: Mapping[str, Any]) -> None:
        """Nothing to do."""


class TimedSaver(Saver):
    """Notes how long the training is held up; ``wait`` holds it until everything is written."""

    def __init__(self, *arguments: Any, wait: bool, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.wait = wait
        self.begins: list[float] = []
        self.seals: list[float] = []

    def begin(self, state: EngineState, *, step: int, training: Mapping[str, Any]) -> None:
        """Begin, and wait if that is wanted."""
        began = time.perf_counter()
        super().begin(state, step=step, training=training)
        self.begins.append(time.perf_counter() - began)
        while self.wait and not self.written():
            time.sleep(0.001)

    def seal(self) -> Path:
        """Seal, on the clock."""
        began = time.perf_counter()
        path = super().seal()
        self.seals.append(time.perf_counter() - began)
        return path


def make_task(arguments: argparse.Namespace) -> NextItem:
    """SASRec with sampled softmax."""
    width = arguments.dim
    network = partial(SASRec, dim=width, blocks=2, heads=2, hidden=4 * width, dropout=0.2, max_length=200)
    return NextItem(
        history="history",
        max_length=200,
        items=arguments.items + 1,
        build=network,
        dim=width,
        standard_deviation=0.02,
        loss=ScoredLoss(256, True, sampled_softmax),
        ks=[10],
    )


def train(contestant: str, arguments: argparse.Namespace, data: Path) -> tuple[Clock, TimedSaver]:
    """One epoch; when its steps ended, and what was saved."""
    task, state, clock = make_task(arguments), TrainingState(), Clock()
    engine = ReferenceEngine(
        task,
        optimizer=NetworkOptimizer("adamw", 1e-3),
        table_optimizers={"items": TableOptimizer("adagrad", 0.05)},
        seed=0,
        device=torch.device(arguments.device),
    )
    source = Source.open(str(data), "train", task.columns)
    reader = Reader(source, task, "train", seed=0, lanes=2, window=4096, tokens=arguments.tokens, rank=0, world_size=1)
    course = Course(
        epochs=1,
        learning_rate=1e-3,
        schedule=Schedule("constant"),
        log_every=1,
        evaluate_every=1,
        select="",
        patience=None,
        save_every=math.inf if contestant == "none" else arguments.interval,
        keep_last=2,
        keep_best=0,
    )
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        training = Training(
            engine=engine,
            task=task,
            reader=reader,
            rows=reader.rows,
            course=course,
            state=state,
            validate=None,
            folder=Path(folder) / "checkpoints",
            job={},
            trackers=[clock],
            progress=Progress(None),
        )
        saver = TimedSaver(
            Path(folder) / "checkpoints",
            job={},
            tables=task.tables,
            collective=engine.collective,
            wait=contestant == "waiting",
        )
        training.saving.saver = saver
        training.run()
    del clock.times[:WARMUP], clock.processor[:WARMUP]
    return clock, saver


def compare(arguments: argparse.Namespace) -> dict[str, Any]:
    """Train them in turns and measure."""
    with tempfile.TemporaryDirectory() as name:

        def histories(users: int) -> Path:
            folder = Path(name) / f"{users}"
            folder.mkdir()
            rng = numpy.random.default_rng(0)
            offsets = numpy.concatenate(([0], rng.integers(10, 111, users).cumsum())).astype(numpy.int32)
            ids = rng.integers(1, arguments.items + 1, offsets[-1])
            column = pyarrow.ListArray.from_arrays(pyarrow.array(offsets), pyarrow.array(ids))
            pyarrow.parquet.write_table(
                pyarrow.table({"history": column}), folder / "part.parquet", row_group_size=5000
            )
            return folder

        # A short training tells how many users keep this machine busy for the seconds asked for.
        times = train("none", arguments, histories(2000))[0].times
        data = histories(math.ceil(2000 * arguments.seconds / (times[-1] - times[0])))

        seconds: dict[str, list[float]] = {contestant: [] for contestant in CONTESTANTS}
        processor: dict[str, list[float]] = {contestant: [] for contestant in CONTESTANTS}
        longest: dict[str, list[float]] = {contestant: [] for contestant in CONTESTANTS}
        beside: list[TimedSaver] = []
        for number in range(arguments.rounds):
            turn = number % len(CONTESTANTS)
            for contestant in CONTESTANTS[turn:] + CONTESTANTS[:turn]:
                clock, saver = train(contestant, arguments, data)
                times = clock.times
                seconds[contestant].append(times[-1] - times[0])
                processor[contestant].append(clock.processor[-1] - clock.processor[0])
                longest[contestant].append(max(after - before for before, after in pairwise(times)))
                if contestant == "beside":
                    beside.append(saver)
                print(f"round {number + 1}, {contestant}: {times[-1] - times[0]:.1f} s", file=sys.stderr)
    # The last save of each run comes after the last step, and isn't on the clock.
    begins = [value for saver in beside for value in saver.begins[:-1]]
    seals = [value for saver in beside for value in saver.seals[:-1]]
    cost, processor_cost = _costs(seconds), _costs(processor)
    if not begins:
        raise SystemExit("nothing was saved before the last step: use a shorter --interval or more --seconds")
    network = sum(parameter.numel() for parameter in make_task(arguments).network().parameters())
    return {
        "interval_seconds": arguments.interval,
        "megabytes": round(4e-6 * (2 * (arguments.items + 1) * arguments.dim + 3 * network)),
        "threads": torch.get_num_threads(),
        "steps": len(times) + WARMUP,
        "step_seconds": round(statistics.median(seconds["none"]) / (len(times) - 1), 4),
        "saves": len(begins),
        "cost": {contestant: statistics.median(values) for contestant, values in cost.items()},
        "cost_by_round": cost,
        "processor_cost": {contestant: statistics.median(values) for contestant, values in processor_cost.items()},
        "processor_cost_by_round": processor_cost,
        "copy_seconds": {"median": round(statistics.median(begins), 4), "longest": round(max(begins), 4)},
        "seal_seconds": {"median": round(statistics.median(seals), 4), "longest": round(max(seals), 4)},
        "longest_step_seconds": {name: round(max(values), 3) for name, values in longest.items()},
    }


def _costs(spent: dict[str, list[float]]) -> dict[str, list[float]]:
    """For each contestant with checkpoints, what it spent more than the one without, round by round."""
    return {
        contestant: [round(value / bare - 1, 4) for value, bare in zip(spent[contestant], spent["none"], strict=True)]
        for contestant in CONTESTANTS[1:]
    }


def main() -> None:
    """Read the arguments, compare and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--interval", type=float, default=30.0, help="seconds from one checkpoint to the next")
    parser.add_argument("--seconds", type=float, default=100.0, help="length of one training, roughly")
    parser.add_argument("--rounds", type=int, default=3, help="of three trainings each")
    parser.add_argument("--items", type=int, default=300_000, help="rows of the table")
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--tokens", type=int, default=2048, help="token budget of a micro-batch")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="compute threads")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--folder", help="where to save; a temporary folder if left out")
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    result = compare(arguments)
    out = sys.stderr if arguments.json else sys.stdout
    for contestant, text in (("beside", "written beside the training"), ("waiting", "the training waits")):
        cost, processor = result["cost"][contestant], result["processor_cost"][contestant]
        print(f"{text:<30}{cost:>7.1%} of the time without checkpoints, {processor:.1%} of processor time", file=out)
    print(
        f"{result['megabytes']} MB every {result['interval_seconds']:g} s, {result['steps']} steps of "
        f"{1e3 * result['step_seconds']:.0f} ms, {result['threads']} threads",
        file=out,
    )
    if arguments.json:
        print(json.dumps(result))


if __name__ == "__main__":
    main()
