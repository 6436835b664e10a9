"""What a run keeps about itself, and who is told its numbers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from saccade.cluster.job import Job
from saccade.cluster.training.plan import plan_table
from saccade.cluster.training.sources import open_source
from saccade.pipelines.engines.engine import Engine
from saccade.pipelines.errors import UserError
from saccade.pipelines.parquet.schema import Column
from saccade.pipelines.records.history import History
from saccade.pipelines.records.progress import Progress
from saccade.pipelines.records.record import environment, read_json, write_json
from saccade.pipelines.records.tracker import Tracker
from saccade.pipelines.training.state import TrainingState
from saccade.pipelines.transforms.chain import Chain


def data_facts(job: Job, columns: Sequence[Column], transforms: Chain) -> dict[str, Any]:
    """Where the training rows come from, and a fingerprint that changes when they do."""
    source = open_source(job, "train", columns, transforms)
    return {
        "path": job.data.path,
        "files": len(source.files),
        "rows": source.rows,
        "bytes": source.bytes,
        "fingerprint": source.fingerprint,
        "columns": source.types,
    }


def note_start(
    job: Job,
    folder: Path,
    engine: Engine,
    state: TrainingState,
    history: History | None,
    progress: Progress,
) -> list[Tracker]:
    """Add this start to ``run.json`` and open the trackers; a collective that does its work on rank 0."""
    description = engine.describe()
    if history is None:
        return []
    history.resume(state.step)
    record = read_json(folder / "run.json")
    record["engine"] = description
    tables = {line["table"]: 0 for line in _plan(description)}
    for line in _plan(description):
        tables[line["table"]] += int(line["elements"])
    record["parameters"] = {"network": description["network_parameters"], "tables": sum(tables.values())}
    record["environment"] = environment()
    record["starts"] = [
        *record.get("starts", []),
        {
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "step": state.step,
            "workers": engine.collective.world_size,
        },
    ]
    write_json(folder / "run.json", record)
    for text in plan_table(_plan(description), engine.collective.world_size):
        progress.message(text)
    return [history, *start_trackers(job, folder, record, progress)]


def _plan(description: dict[str, object]) -> list[dict[str, Any]]:
    plan = description["plan"]
    assert isinstance(plan, list)
    return plan


def check_tracking(job: Job) -> None:
    """Find out in the driver whether the job's wandb.mode can be had.

    Raises:
        UserError: it can't.
    """
    mode = job.wandb.mode
    if mode == "disabled":
        return
    if find_spec("wandb") is not None:
        from saccade.plugins.wandb.mode import choose_mode

        choose_mode(mode)
    elif mode != "auto":
        raise UserError(f"wandb.mode={mode}, but wandb isn't installed: pip install wandb, or set wandb.mode=disabled")


def start_trackers(job: Job, folder: Path, record: dict[str, Any], progress: Progress) -> list[Tracker]:
    """wandb, if the job wants it and it is installed."""
    settings = job.wandb
    if settings.mode == "disabled":
        return []
    if find_spec("wandb") is None:
        progress.message("wandb isn't installed: the run is tracked in its own folder alone")
        return []
    from saccade.plugins.wandb.tracker import WandbTracker

    tracker = WandbTracker.start(
        folder,
        record["wandb_id"],
        job.run.name,
        job.model_dump(mode="json"),
        record,
        settings.mode,
        settings.project,
        settings.entity,
        settings.group,
        settings.tags,
    )
    return [tracker]
