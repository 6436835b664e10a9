"""What training leaves for those who use a model: the job, facts, what was fitted, and weights.

A run has all of it, and so has each of its checkpoints by itself, wherever it is moved.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from saccade.cluster.job import Job, load_job, parse_job
from saccade.cluster.job.load import apply_override
from saccade.cluster.job.next_item_models import Counted
from saccade.cluster.training.best import best_checkpoint
from saccade.pipelines.checkpoint import manifest
from saccade.pipelines.checkpoint.reader import CheckpointReader
from saccade.pipelines.checkpoint.retention import checkpoints
from saccade.pipelines.checkpoint.share import ARTIFACTS
from saccade.pipelines.errors import UserError
from saccade.pipelines.records.record import read_json

FACTS = "facts.json"
"""The artifact with what ``gather_facts`` found."""


@dataclass(frozen=True)
class Trained:
    """A trained model.

    Attributes:
        job: that it was trained by.
        facts: that were found in its data.
        artifacts: the folder of what was fitted to them.
        checkpoint: the folder of its weights; of a model that was counted, that of its artifacts.
        run: the run's folder; None for a checkpoint by itself.
    """

    job: Job
    facts: Mapping[str, Any]
    artifacts: Path
    checkpoint: Path
    run: Path | None


def find_trained(path: Path, overrides: Sequence[str]) -> Trained:
    """The model of a run's best checkpoint, or of the checkpoint at ``path``.

    Raises:
        UserError: there is none, or it is damaged.
    """
    if not (path / manifest.NAME).exists():
        job, facts = load_job(path / "job.yaml", overrides), read_json(path / "run.json")["facts"]
        counted = isinstance(job.model, Counted)
        return Trained(job, facts, path / "artifacts", path / "artifacts" if counted else best_checkpoint(path), path)
    reader = CheckpointReader(path)
    reader.verify()
    kept = kept_with(path)
    if kept is None:
        raise UserError(f"checkpoint {path} keeps weights alone: give the folder of its run")
    values = dict(reader.manifest.job)
    for override in overrides:
        apply_override(values, override)
    return Trained(parse_job(values), *kept, path, None)


def kept_with(checkpoint: Path) -> tuple[dict[str, Any], Path] | None:
    """A checkpoint's facts and the folder of its artifacts: its run's, where it is still there, or its own copies."""
    run = checkpoint.absolute().parent.parent
    if (run / "run.json").is_file():
        return read_json(run / "run.json")["facts"], run / "artifacts"
    if (checkpoint / ARTIFACTS / FACTS).is_file():
        return read_json(checkpoint / ARTIFACTS / FACTS), checkpoint / ARTIFACTS
    return None


def find_fitted(job: Job, folder: Path | None) -> Path | None:
    """The artifacts that a start of a run takes over, so that nothing is fitted twice; None where all is new.

    Args:
        job: whose ``run.start_from`` counts for a new run.
        folder: the run's; None where it begins anew.
    """
    if folder is not None and (folder / "job.yaml").exists():
        kept = [path / ARTIFACTS for path in reversed(checkpoints(folder / "checkpoints"))]
        return next((path for path in [folder / "artifacts", *kept] if path.is_dir()), None)
    if job.run.start_from is None:
        return None
    path = Path(job.run.start_from)
    kept = [path / ARTIFACTS, path.parent.parent / "artifacts"] if (path / manifest.NAME).exists() else []
    return next((found for found in [*kept, path / "artifacts"] if found.is_dir()), None)
