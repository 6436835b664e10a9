"""``saccade train`` in the driver: check everything that can be checked cheaply, then launch the workers."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from saccade.cluster.job import Job, job_to_yaml, load_job, resume_differences
from saccade.cluster.progress import follow
from saccade.cluster.training.facts import gather_facts
from saccade.cluster.training.record import data_facts
from saccade.cluster.training.run import run_on_workers
from saccade.cluster.training.tasks import make_task
from saccade.cluster.training.worker import train_worker
from saccade.pipelines.errors import UserError
from saccade.pipelines.record import git_state, read_json, replace_text, write_json


def train(job: Job, *, fresh: bool) -> dict[str, Any]:
    """Train a job or resume its run, and return its result.

    Args:
        job: with resolved paths.
        fresh: delete the run first.

    Raises:
        UserError: anything that the user can mend.
    """
    folder = job.run.folder
    with _storage(folder), _only_one(folder):
        if fresh:
            _delete(folder)
        done = _compare_with_existing(job, folder)
        if done:
            return done
        facts = gather_facts(job, folder / "artifacts")
        _write_record(job, folder, facts)
        arguments = {"job": job.model_dump(mode="json"), "facts": facts, "folder": str(folder)}
        with follow(folder):
            run_on_workers(train_worker, job, folder, arguments)
    result: dict[str, Any] = read_json(folder / "result.json")
    return result


def _compare_with_existing(job: Job, folder: Path) -> dict[str, Any] | None:
    """The result of a run that has nothing left to do; None where there is something to train."""
    if not (folder / "job.yaml").exists():
        return None
    differences = resume_differences(load_job(folder / "job.yaml"), job)
    if differences:
        raise UserError(
            f"run {folder} exists with another job ({'; '.join(differences)}): give run.name another name, or start "
            "over with --fresh"
        )
    if not (folder / "result.json").exists():
        return None
    result: dict[str, Any] = read_json(folder / "result.json")
    if result["epochs"] < job.train.epochs and job.evaluate.patience is None:
        (folder / "result.json").unlink()
        return None
    return result


def _write_record(job: Job, folder: Path, facts: dict[str, Any]) -> None:
    task = make_task(job, facts, folder / "artifacts")
    data = data_facts(job, task.columns)
    known = read_json(folder / "run.json") if (folder / "run.json").exists() else {}
    before = known.get("data", data)
    if before["fingerprint"] != data["fingerprint"]:
        raise UserError(
            f"the data at {job.data.path} has changed since run {folder} began (fingerprint {before['fingerprint']}, "
            f"now {data['fingerprint']}): give run.name another name, or start over with --fresh"
        )
    record = {
        "name": job.run.name,
        "task": job.task,
        "wandb_id": uuid.uuid4().hex[:12],
        **git_state(Path.cwd()),
        **known,
        "data": data,
        "facts": facts,
    }
    write_json(folder / "run.json", record)
    replace_text(folder / "job.yaml", job_to_yaml(job))


@contextlib.contextmanager
def _storage(folder: Path) -> Iterator[None]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "artifacts").mkdir(exist_ok=True)
        yield
    except OSError as error:
        raise UserError(
            f"run.storage: can't write to {folder} ({error.strerror or error}): mend that or set another run.storage"
        ) from None


@contextlib.contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    """Two processes that train one run would destroy each other's checkpoints."""
    with (folder / ".lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise UserError(
                f"run {folder} is being trained by process {file.read().strip()}: wait for it, or give run.name "
                "another name"
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def _delete(folder: Path) -> None:
    """Remove a run's contents, but nothing that isn't a run."""
    contents = [path for path in folder.iterdir() if path.name not in (".lock", "artifacts")]
    if contents and not (folder / "job.yaml").exists():
        raise UserError(f"--fresh: {folder} holds no run (no job.yaml), so it isn't deleted: remove it yourself")
    for path in folder.iterdir():
        if path.name != ".lock":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    (folder / "artifacts").mkdir()
