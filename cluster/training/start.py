"""``saccade train`` in the driver: check everything that can be checked cheaply, then launch the workers."""

from __future__ import annotations

import contextlib
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from saccade.cluster.job import Job, job_to_yaml, load_job, resume_differences
from saccade.cluster.job.next_item_models import Counted
from saccade.cluster.parts.check import check_parts
from saccade.cluster.parts.listing import plugin_packages
from saccade.cluster.progress import follow
from saccade.cluster.training.counted import run_counted
from saccade.cluster.training.facts import gather_facts
from saccade.cluster.training.measures import check_fraction
from saccade.cluster.training.record import check_tracking, data_facts
from saccade.cluster.training.run import check_workers, run_on_workers
from saccade.cluster.training.sources import has_split, open_source
from saccade.cluster.training.storage import storage_errors
from saccade.cluster.training.tasks import make_task
from saccade.cluster.training.trained import FACTS, find_fitted
from saccade.cluster.training.transforms import load_transforms
from saccade.cluster.training.worker import train_worker
from saccade.pipelines.errors import UserError
from saccade.pipelines.records.only_one import LOCK, only_one
from saccade.pipelines.records.record import git_state, read_json, replace_text, write_json

FITTED = "artifacts.new"
"""Where a start puts what it fits, until it is sure to go ahead."""


def train(job: Job, *, fresh: bool) -> dict[str, Any]:
    """Train a job or resume its run, and return its result.

    Args:
        job: with resolved paths.
        fresh: delete the run first.

    Raises:
        UserError: anything that the user can mend.
    """
    folder = job.run.folder
    counted = isinstance(job.model, Counted)
    if not counted:
        check_workers(job)
    check_tracking(job)
    check_parts(job, folder)
    with contextlib.ExitStack() as lock:
        with storage_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            # Two that train one run would destroy each other's checkpoints.
            mend = "wait for it, or give run.name another name"
            lock.enter_context(only_one(folder, f"run {folder} is being trained", mend))
            if fresh:
                _check_deletable(folder)
            elif done := _compare_with_existing(job, folder):
                return done
            facts = _begin(job, folder, fresh)
        arguments = {"job": job.model_dump(mode="json"), "facts": facts, "folder": str(folder)}
        with follow(folder), _noting_failure(folder):
            if counted:
                run_counted(arguments)
            else:
                run_on_workers(train_worker, job, folder, arguments, trains=True)
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
    return None if result["epochs"] < job.train.epochs and not result["stopped_early"] else result


def _begin(job: Job, folder: Path, fresh: bool) -> dict[str, Any]:
    """Look at the data and write down what the run is; what was there is only touched once nothing speaks against it.

    Returns:
        The facts that ``gather_facts`` found.
    """
    fitted = folder / FITTED
    shutil.rmtree(fitted, ignore_errors=True)
    fitted.mkdir()
    facts = gather_facts(job, fitted, find_fitted(job, None if fresh else folder))
    columns, transforms = make_task(job, facts, fitted).columns, load_transforms(job, fitted)
    if job.evaluate.fraction < 1.0 and has_split(job, "valid"):
        check_fraction(job, open_source(job, "valid", columns, transforms).rows)
    data = data_facts(job, columns, transforms)
    known = read_json(folder / "run.json") if (folder / "run.json").exists() and not fresh else {}
    before = known.get("data", data)
    if before["fingerprint"] != data["fingerprint"]:
        shutil.rmtree(fitted)
        raise UserError(
            f"the data at {job.data.path} has changed since run {folder} began (fingerprint {before['fingerprint']}, "
            f"now {data['fingerprint']}): give run.name another name, or start over with --fresh"
        )
    if fresh:
        _delete(folder)
    write_json(fitted / FACTS, facts)
    shutil.rmtree(folder / "artifacts", ignore_errors=True)
    fitted.rename(folder / "artifacts")
    record = {
        "name": job.run.name,
        "task": job.task,
        "wandb_id": uuid.uuid4().hex[:12],
        **git_state(Path.cwd()),
        **known,
        "directory": str(Path.cwd()),
        "plugins": plugin_packages(job.model),
        "data": data,
        "facts": facts,
    }
    write_json(folder / "run.json", record)
    replace_text(folder / "job.yaml", job_to_yaml(job))
    (folder / "result.json").unlink(missing_ok=True)
    return facts


@contextlib.contextmanager
def _noting_failure(folder: Path) -> Iterator[None]:
    """Let those who look at the run know that it failed; a run that was interrupted has merely stopped."""
    try:
        yield
    except Exception:
        with contextlib.suppress(OSError, ValueError):
            write_json(folder / "progress.json", {**read_json(folder / "progress.json"), "phase": "failed"})
        raise


def _check_deletable(folder: Path) -> None:
    """Let --fresh delete nothing that isn't a run."""
    names = {path.name for path in folder.iterdir()} - {LOCK, FITTED}
    if names and "job.yaml" not in names:
        raise UserError(f"--fresh: {folder} holds no run (no job.yaml), so it isn't deleted: remove it yourself")


def _delete(folder: Path) -> None:
    """Remove all of a run but what the start that removes it has made."""
    for path in folder.iterdir():
        if path.name not in (LOCK, FITTED):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
