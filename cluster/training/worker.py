"""What every worker does: the run from its last checkpoint to its result, as one readable function."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from saccade.cluster.job import Job, parse_job
from saccade.cluster.training.engines import choose_device, make_engine
from saccade.cluster.training.readers import make_reader
from saccade.cluster.training.record import note_start
from saccade.cluster.training.sources import has_split
from saccade.cluster.training.storage import full_disk
from saccade.cluster.training.tasks import make_task
from saccade.pipelines.checkpoint.reader import CheckpointReader
from saccade.pipelines.checkpoint.retention import clean, newest_good, step_name
from saccade.pipelines.engine import Engine
from saccade.pipelines.errors import UserError
from saccade.pipelines.evaluate import evaluate
from saccade.pipelines.history import History
from saccade.pipelines.loop import Course, Training
from saccade.pipelines.progress import Progress
from saccade.pipelines.record import write_json
from saccade.pipelines.schedule import Schedule
from saccade.pipelines.state import TrainingState
from saccade.pipelines.task import Task


def train_worker(arguments: dict[str, Any]) -> None:
    """Train, measure and leave ``result.json`` in the run's folder; called on all ranks, and again after a failure.

    Args:
        arguments: ``job`` (the resolved job), ``facts`` (from ``gather_facts``) and ``folder`` (the run's).
    """
    began = time.monotonic()
    job, folder = parse_job(arguments["job"]), Path(arguments["folder"])
    with full_disk(folder):
        task = make_task(job, arguments["facts"], folder / "artifacts")
        engine = make_engine(job, task, choose_device(job))
        collective = engine.collective
        progress = Progress(folder if collective.rank == 0 else None)
        progress.update(phase="starting")

        state = _resume(engine, folder / "checkpoints", progress)
        history = History(folder / "history.jsonl", lambda: state.seconds) if collective.rank == 0 else None
        trackers = note_start(job, folder, engine, state, history, progress)
        reader = make_reader(job, task, "train", collective)
        validate = _validation(job, task, engine) if has_split(job, "valid") else None
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
            trackers=trackers,
            progress=progress,
        )
        training.run()

        result = _finish(job, task, engine, state, folder, progress)
        result["wall_seconds"] = round(time.monotonic() - began, 1)
        if collective.rank == 0:
            for tracker in trackers:
                tracker.log(state.step, {k: v for k, v in result["metrics"].items() if k.startswith("test/")})
                tracker.finish(result)
            write_json(folder / "result.json", result)
        progress.update(phase="done", fraction=1.0, eta_seconds=0.0)
        collective.barrier()


def _resume(engine: Engine, checkpoints: Path, progress: Progress) -> TrainingState:
    """Load the newest good checkpoint, if there is one. A collective."""
    found: Path | None = None
    mistake = ""
    if engine.collective.rank == 0:
        clean(checkpoints)
        try:
            found = newest_good(checkpoints, lambda text: progress.message(text, "WARNING"))
        except UserError as error:
            mistake = str(error)
    found, mistake = engine.collective.broadcast_object((found, mistake))
    if mistake:
        raise UserError(mistake)
    if found is None:
        return TrainingState()
    checkpoint = CheckpointReader(found)
    engine.load(checkpoint)
    progress.message(f"resumed from {found.name}")
    return TrainingState.from_json(checkpoint.manifest.training)


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
    )


def _validation(job: Job, task: Task, engine: Engine) -> Any:
    reader = make_reader(job, task, "valid", engine.collective)
    return lambda: evaluate(engine, task, reader, "valid").metrics


def _finish(
    job: Job, task: Task, engine: Engine, state: TrainingState, folder: Path, progress: Progress
) -> dict[str, Any]:
    """Load the best checkpoint, measure it on the test split, and put the result together. A collective."""
    metrics, report = dict(state.metrics), dict[str, Any]()
    best_step = state.best[0][1] if state.best and job.checkpoint.keep_best else state.step
    if best_step != state.step:
        checkpoint = CheckpointReader(folder / "checkpoints" / step_name(best_step))
        engine.load(checkpoint)
        metrics = dict(checkpoint.manifest.training["metrics"])
    if job.evaluate.at_end and has_split(job, "test"):
        progress.update(phase="evaluating")
        reader = make_reader(job, task, "test", engine.collective)
        measured = evaluate(engine, task, reader, "test")
        metrics, report = metrics | measured.metrics, measured.report
        shown = "  ".join(f"{name} {value:.4f}" for name, value in sorted(measured.metrics.items()))
        progress.message(f"best checkpoint, step {best_step}: {shown}")
    return {
        "run": str(folder),
        "metrics": metrics,
        "seconds": round(state.seconds, 3),
        "events_per_second": round(state.events / state.seconds, 1) if state.seconds else 0.0,
        "epochs": state.epoch,
        "steps": state.step,
        "best_step": best_step,
        "stopped_early": state.finished,
        **report,
    }
