"""Models that are counted from the training rows, measured in the driver by the evaluator of all others.

There is nothing to distribute, so such a run needs no worker: what was counted is an artifact of the run, and
`saccade evaluate` and `saccade predict` load that in the place of a checkpoint.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from saccade.cluster.job import NextItemJob, parse_job
from saccade.cluster.training.counting import counted_engine, load_counted
from saccade.cluster.training.record import note_start
from saccade.cluster.training.sources import open_source
from saccade.cluster.training.tasks import make_task
from saccade.cluster.training.transforms import load_transforms
from saccade.pipelines.engines.counted import CountedEngine
from saccade.pipelines.order.reader import Reader
from saccade.pipelines.records.history import History
from saccade.pipelines.records.progress import Progress
from saccade.pipelines.records.record import write_json
from saccade.pipelines.task import Split
from saccade.pipelines.training.evaluate import Measured, evaluate
from saccade.pipelines.training.state import TrainingState


def measure_counted(
    job: NextItemJob, facts: dict[str, Any], artifacts: Path, split: Split, engine: CountedEngine
) -> Measured:
    """Measure a split, in this process."""
    task, transforms = make_task(job, facts, artifacts), load_transforms(job, artifacts)
    reader = Reader(
        open_source(job, split, task.columns, transforms),
        task,
        split,
        seed=job.run.seed,
        lanes=1,
        window=job.data.window,
        tokens=job.evaluate.tokens,
        rank=0,
        world_size=1,
    )
    return evaluate(engine, task, reader, split)


def evaluate_counted(arguments: dict[str, Any]) -> None:
    """Measure one split of a counted model's run and write the result, in the place of ``evaluate_worker``."""
    began = time.monotonic()
    job, run = parse_job(arguments["job"]), Path(arguments["run"])
    assert isinstance(job, NextItemJob)
    artifacts, facts = run / "artifacts", arguments["facts"]
    engine = counted_engine(job, facts["items"], load_counted(artifacts))
    measured = measure_counted(job, facts, artifacts, arguments["split"], engine)
    seconds = time.monotonic() - began
    result = {
        "run": str(run),
        "metrics": measured.metrics,
        "seconds": round(seconds, 3),
        "wall_seconds": round(seconds, 1),
        "events_per_second": round(measured.events / seconds, 1),
        "checkpoint": arguments["checkpoint"],
        **measured.report,
    }
    write_json(Path(arguments["output"]), result)


def run_counted(arguments: dict[str, Any]) -> None:
    """Measure a counted model and leave ``result.json`` in the run's folder, in the place of ``train_worker``."""
    began = time.monotonic()
    job, folder = parse_job(arguments["job"]), Path(arguments["folder"])
    assert isinstance(job, NextItemJob)
    progress = Progress(folder)
    engine = counted_engine(job, arguments["facts"]["items"], load_counted(folder / "artifacts"))
    seconds = 0.0
    history = History(folder / "history.jsonl", lambda: seconds)
    trackers = note_start(job, folder, engine, TrainingState(), history, progress)
    progress.update(phase="evaluating")
    metrics: dict[str, float] = {}
    report: dict[str, Any] = {}
    events = 0
    splits: tuple[Split, ...] = ("valid", "test") if job.evaluate.at_end else ("valid",)
    for split in splits:
        measured = measure_counted(job, arguments["facts"], folder / "artifacts", split, engine)
        metrics, report, events = metrics | measured.metrics, measured.report, events + measured.events
        shown = "  ".join(f"{name} {value:.4f}" for name, value in sorted(measured.metrics.items()))
        progress.message(f"{job.model.name}: {shown}")
    seconds = time.monotonic() - began
    result = {
        "run": str(folder),
        "metrics": metrics,
        "seconds": round(seconds, 3),
        "events_per_second": round(events / seconds, 1),
        "epochs": 0,
        "steps": 0,
        "best_step": 0,
        "stopped_early": True,  # more epochs would find nothing more
        "wall_seconds": round(seconds, 1),
        **report,
    }
    for tracker in trackers:
        tracker.log(0, metrics)
        tracker.finish(result)
    write_json(folder / "result.json", result)
    progress.update(phase="done", fraction=1.0, eta_seconds=0.0)
