"""What every worker does: the run from its last checkpoint to its result, as one readable function."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from functools import cache
from pathlib import Path
from typing import Any

from saccade.cluster.explaining.leave import leave_heat_maps
from saccade.cluster.job import Job, parse_job
from saccade.cluster.training.begin import begin
from saccade.cluster.training.engines import choose_device, make_engine
from saccade.cluster.training.measures import caution, check_fraction
from saccade.cluster.training.readers import make_reader
from saccade.cluster.training.record import note_start
from saccade.cluster.training.sources import has_split, open_source
from saccade.cluster.training.storage import full_disk
from saccade.cluster.training.tasks import make_task
from saccade.cluster.training.transforms import load_transforms
from saccade.pipelines.checkpoint.reader import CheckpointReader
from saccade.pipelines.checkpoint.retention import step_name
from saccade.pipelines.engines.engine import Engine
from saccade.pipelines.memory import keep_freed_memory
from saccade.pipelines.records.history import History
from saccade.pipelines.records.progress import Progress
from saccade.pipelines.records.record import write_json
from saccade.pipelines.task import Task
from saccade.pipelines.training.evaluate import evaluate
from saccade.pipelines.training.loop import Course, Training
from saccade.pipelines.training.schedule import Schedule
from saccade.pipelines.training.state import TrainingState
from saccade.pipelines.training.stop import Stop, Stopped
from saccade.pipelines.transforms.chain import Chain


def train_worker(arguments: dict[str, Any]) -> None:
    """Train, measure and leave ``result.json`` in the run's folder; called on all ranks, and again after a failure.

    Args:
        arguments: ``job`` (the resolved job), ``facts`` (from ``gather_facts``) and ``folder`` (the run's).

    Raises:
        UserError: the run can't go on until the user has mended something.
        Stopped: there was a request to stop; everything up to it is saved.
    """
    began = time.monotonic()
    keep_freed_memory()
    job, folder = parse_job(arguments["job"]), Path(arguments["folder"])
    with full_disk(folder):
        artifacts = folder / "artifacts"
        task, transforms = make_task(job, arguments["facts"], artifacts), load_transforms(job, artifacts)
        engine = make_engine(job, task, choose_device(job))
        collective = engine.collective
        progress = Progress(folder if collective.rank == 0 else None)
        progress.update(phase="starting")
        if (warning := caution(job)) is not None:
            progress.message(warning)

        grow = [table.name for table in task.tables if job.table(table.name).grow]
        state = begin(engine, folder / "checkpoints", job.run.start_from, grow, progress)
        history = History(folder / "history.jsonl", lambda: state.seconds) if collective.rank == 0 else None
        trackers = note_start(job, folder, engine, state, history, progress)
        reader = make_reader(job, task, "train", collective, transforms)
        stop = Stop(folder if collective.rank == 0 else None)
        validate = _validation(job, task, transforms, engine, stop, progress) if has_split(job, "valid") else None
        training = Training(
            engine=engine,
            task=task,
            reader=reader,
            rows=reader.rows,
            course=_course(job),
            state=state,
            validate=validate,
            folder=folder / "checkpoints",
            job=arguments["job"],
            artifacts=artifacts,
            trackers=trackers,
            progress=progress,
            where=_where(job, task, transforms),
            grow=grow,
            stop=stop,
        )
        try:
            training.run()
            result = _finish(job, task, transforms, engine, state, folder, grow, stop, progress)
        except Stopped:
            progress.message(f"stopped at step {state.step}, saved")
            progress.update(phase="stopped")
            raise
        result["wall_seconds"] = round(time.monotonic() - began, 1)
        if collective.rank == 0:
            best = folder / "checkpoints" / step_name(result["best_step"])
            pictures = leave_heat_maps(job, arguments["facts"], folder, best, progress, pictures=len(trackers) > 1)
            for tracker in trackers:
                tracker.show(result["best_step"], pictures)
                tracker.log(state.step, {k: v for k, v in result["metrics"].items() if k.startswith("test/")})
                tracker.finish(result)
            write_json(folder / "result.json", result)
        progress.update(phase="done", fraction=1.0, eta_seconds=0.0)
        collective.barrier()


def _course(job: Job) -> Course:
    return Course(
        epochs=job.train.epochs,
        learning_rate=job.optimizer.learning_rate,
        schedule=Schedule(job.optimizer.schedule, job.optimizer.warmup_steps, job.optimizer.final_fraction),
        log_every=job.train.log_every,
        evaluate_every=job.evaluate.every,
        select=job.evaluate.select,
        patience=job.evaluate.patience,
        save_every=job.checkpoint.every_seconds,
        keep_last=job.checkpoint.keep_last,
        keep_best=job.checkpoint.keep_best,
        on_not_finite=job.train.on_not_finite,
        on_save_error=job.checkpoint.on_error,
    )


def _validation(
    job: Job, task: Task, transforms: Chain, engine: Engine, stop: Stop, progress: Progress
) -> Callable[[], dict[str, float]]:
    reader = make_reader(job, task, "valid", engine.collective, transforms, job.evaluate.fraction)
    if (said := check_fraction(job, reader.rows)) is not None:
        progress.message(said)
    return lambda: evaluate(engine, task, reader, "valid", stop, report=False).metrics


def _where(job: Job, task: Task, transforms: Chain) -> Callable[[int], str]:
    """Training row number -> ``FILE row N``; the files are opened when that is first asked."""
    source = cache(lambda: open_source(job, "train", task.columns, transforms))
    return lambda row: source().where(row)


def _finish(
    job: Job,
    task: Task,
    transforms: Chain,
    engine: Engine,
    state: TrainingState,
    folder: Path,
    grow: Collection[str],
    stop: Stop,
    progress: Progress,
) -> dict[str, Any]:
    """Load the best checkpoint, measure it on the test split, and put the result together. A collective."""
    metrics, report = dict(state.metrics), dict[str, Any]()
    saved = state.best_saved(folder / "checkpoints") if job.checkpoint.keep_best else []
    best_step = engine.collective.broadcast_object(saved[0] if saved else state.step)
    if best_step != state.step:
        checkpoint = CheckpointReader(folder / "checkpoints" / step_name(best_step))
        engine.load(checkpoint, grow)
        metrics = dict(checkpoint.manifest.training["metrics"])
    if job.evaluate.at_end and has_split(job, "test"):
        progress.update(phase="evaluating")
        reader = make_reader(job, task, "test", engine.collective, transforms)
        measured = evaluate(engine, task, reader, "test", stop)
        metrics, report = metrics | measured.metrics, measured.report
        shown = "  ".join(f"{name} {value:.4f}" for name, value in sorted(measured.metrics.items()))
        progress.message(f"best checkpoint, step {best_step}: {shown}")
    return {
        "run": str(folder),
        "metrics": metrics,
        "seconds": round(state.seconds, 3),
        "events_per_second": round(state.events / state.seconds, 1) if state.seconds else 0.0,
        "data_wait": round(state.waited / state.seconds, 4) if state.seconds else 0.0,
        "epochs": state.epoch,
        "steps": state.step,
        "best_step": best_step,
        "stopped_early": state.finished,
        **report,
    }
