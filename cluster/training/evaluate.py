"""``saccade evaluate``: measure a run's best checkpoint again, on any engine and number of workers."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from saccade.cluster.job import Job, load_job, parse_job
from saccade.cluster.job.next_item_models import Counted
from saccade.cluster.parts.check import check_parts
from saccade.cluster.progress import follow
from saccade.cluster.training.best import best_checkpoint
from saccade.cluster.training.counted import evaluate_counted
from saccade.cluster.training.engines import choose_device, make_engine
from saccade.cluster.training.facts import check_split
from saccade.cluster.training.measures import caution
from saccade.cluster.training.readers import make_reader
from saccade.cluster.training.run import check_workers, run_on_workers
from saccade.cluster.training.sources import has_split
from saccade.cluster.training.storage import full_disk, storage_errors
from saccade.cluster.training.tasks import make_task
from saccade.cluster.training.transforms import load_transforms
from saccade.pipelines.checkpoint.reader import CheckpointReader
from saccade.pipelines.errors import UserError
from saccade.pipelines.memory import keep_freed_memory
from saccade.pipelines.records.progress import Progress
from saccade.pipelines.records.record import read_json, write_json
from saccade.pipelines.task import Split
from saccade.pipelines.training.evaluate import evaluate as measure


def evaluate(run: Path, overrides: Sequence[str], split: Split) -> dict[str, Any]:
    """Measure a split with a run's best checkpoint.

    Args:
        run: the run's folder.
        overrides: ``key=value`` changes of its job for this evaluation (workers, engine, cut-offs, another data set of
            the same shape, …).
        split: ``valid`` or ``test``.

    Returns:
        The result, also written to ``evaluations/SPLIT.json`` in the run's folder.

    Raises:
        UserError: anything that the user can mend.
    """
    job = load_job(run / "job.yaml", overrides).resolved(Path.cwd())
    counted = isinstance(job.model, Counted)
    if not counted:
        check_workers(job)
    check_parts(job, run)
    if not has_split(job, split):
        raise UserError(f"{job.data.path} has no {split} split: choose another --split or data.path")
    checkpoint = run / "artifacts" if counted else best_checkpoint(run)
    facts = read_json(run / "run.json")["facts"]
    check_split(job, split, facts, load_transforms(job, run / "artifacts"))
    folder = run / "evaluations"
    with storage_errors(folder):
        folder.mkdir(exist_ok=True)
    arguments = {
        "job": job.model_dump(mode="json"),
        "facts": facts,
        "run": str(run),
        "checkpoint": str(checkpoint),
        "split": split,
        "output": str(folder / f"{split}.json"),
    }
    with follow(folder):
        if counted:
            evaluate_counted(arguments)
        else:
            run_on_workers(evaluate_worker, job, folder, arguments)
    result: dict[str, Any] = read_json(folder / f"{split}.json")
    return result


def evaluate_worker(arguments: dict[str, Any]) -> None:
    """Load the checkpoint, measure, and write the result; called on all ranks."""
    with full_disk(Path(arguments["output"]).parent):
        _measure(arguments)


def _measure(arguments: dict[str, Any]) -> None:
    began = time.monotonic()
    keep_freed_memory()
    job: Job = parse_job(arguments["job"])
    split: Split = arguments["split"]
    run, output = Path(arguments["run"]), Path(arguments["output"])
    artifacts = run / "artifacts"
    task, transforms = make_task(job, arguments["facts"], artifacts), load_transforms(job, artifacts)
    engine = make_engine(job, task, choose_device(job))
    progress = Progress(output.parent if engine.collective.rank == 0 else None)
    progress.update(phase="starting")
    if (warning := caution(job)) is not None:
        progress.message(warning)
    checkpoint = CheckpointReader(arguments["checkpoint"])
    engine.load(checkpoint)
    progress.update(phase="evaluating", step=checkpoint.manifest.step)
    reader = make_reader(job, task, split, engine.collective, transforms)
    evaluating = time.monotonic()
    measured = measure(engine, task, reader, split)
    seconds = time.monotonic() - evaluating
    if engine.collective.rank == 0:
        write_json(
            output,
            {
                "run": str(run),
                "metrics": measured.metrics,
                "seconds": round(seconds, 3),
                "wall_seconds": round(time.monotonic() - began, 1),
                "events_per_second": round(measured.events / seconds, 1),
                "checkpoint": arguments["checkpoint"],
                **measured.report,
            },
        )
    progress.update(phase="done", fraction=1.0)
    engine.collective.barrier()
