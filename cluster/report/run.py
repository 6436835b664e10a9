"""What a run's folder says about the run."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from saccade.cluster.report.attention import HeatMaps
from saccade.pipelines.errors import UserError
from saccade.pipelines.records.history import read_history
from saccade.pipelines.records.record import read_json

State = Literal["complete", "running", "stopped", "failed"]

FRESH = 60.0
"""Seconds since the last sign of life within which a run counts as running (it gives one about every second)."""


@dataclass(frozen=True)
class Run:
    """The files of a run's folder, read.

    Attributes:
        folder: the run's folder.
        job_text: ``job.yaml`` as it is.
        job: the same, parsed.
        record: ``run.json``.
        history: the lines of ``history.jsonl``; empty before the first.
        result: ``result.json``; None before the run has ended.
        progress: ``progress.json``; None where there is none.
        attention: ``attention/heat_maps.json``; None where there is none.
    """

    folder: Path
    job_text: str
    job: dict[str, Any]
    record: dict[str, Any]
    history: list[dict[str, Any]]
    result: dict[str, Any] | None
    progress: dict[str, Any] | None
    attention: HeatMaps | None = None

    @property
    def name(self) -> str:
        """The run's name."""
        return str(self.record.get("name") or self.folder.name)

    @property
    def step(self) -> int:
        """The last optimizer step that is known of."""
        steps = [line["step"] for line in self.history]
        steps += [source["step"] for source in (self.progress, self.result) if source and "step" in source]
        if self.result and "steps" in self.result:
            steps.append(self.result["steps"])
        return max(steps, default=0)

    @property
    def seconds(self) -> float | None:
        """Seconds of training over all starts."""
        if self.state == "complete" and self.result and self.result.get("seconds") is not None:
            return float(self.result["seconds"])
        return float(self.history[-1]["seconds"]) if self.history else None

    @property
    def state(self) -> State:
        """Whether the run has ended, and how; a run that gives no sign of life any more is ``stopped``."""
        if self.progress is None:
            return "complete" if self.result else "stopped"
        if self.progress.get("phase") == "done":
            return "complete" if self.result else "stopped"
        if self.progress.get("phase") == "failed":
            return "failed"
        return "running" if time.time() - float(self.progress.get("time") or 0) < FRESH else "stopped"

    @property
    def evaluations(self) -> list[dict[str, Any]]:
        """The lines of the history that hold validation metrics."""
        return [line for line in self.history if is_evaluation(line)]

    @property
    def metrics(self) -> dict[str, Any]:
        """Metrics by full name: the result's, or the last evaluation's while there is no result."""
        if self.result:
            return dict(self.result.get("metrics") or {})
        last = self.evaluations[-1] if self.evaluations else {}
        return {key: value for key, value in last.items() if key.startswith("valid/")}

    @property
    def selected(self) -> str | None:
        """The validation metric that chooses the best checkpoint, without its split (``ndcg@10``)."""
        name = (self.job.get("evaluate") or {}).get("select")
        return str(name).removeprefix("valid/") if name else None


def is_evaluation(line: dict[str, Any]) -> bool:
    """Whether a line of the history holds validation metrics."""
    return any(key.startswith("valid/") for key in line)


def load_run(folder: Path) -> Run:
    """Read a run's folder, finished or not.

    Raises:
        UserError: it isn't a run's folder, or a file in it can't be read.
    """
    import yaml

    if not folder.is_dir():
        raise UserError(f"{folder}: no such run folder: give the folder that `saccade train` printed")
    missing = [name for name in ("job.yaml", "run.json") if not (folder / name).is_file()]
    if missing:
        raise UserError(f"{folder} is not the folder of a run: it has no {' and no '.join(missing)}")
    job_text = (folder / "job.yaml").read_text(encoding="utf-8", errors="replace")
    try:
        job = yaml.safe_load(job_text)
    except yaml.YAMLError as error:
        raise UserError(f"{folder / 'job.yaml'} is not YAML: {' '.join(str(error).split())}") from error
    history_path = folder / "history.jsonl"
    try:
        history = read_history(history_path) if history_path.exists() else []
    except ValueError as error:
        raise UserError(f"damaged history: {error}") from error
    return Run(
        folder=folder,
        job_text=job_text,
        job=job if isinstance(job, dict) else {},
        record=_read_object(folder / "run.json") or {},
        history=history,
        result=_read_object(folder / "result.json"),
        progress=_read_object(folder / "progress.json"),
        attention=HeatMaps.read(folder),
    )


def _read_object(path: Path) -> dict[str, Any] | None:
    if not path.exists():
        return None
    try:
        value = read_json(path)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise UserError(f"{path} holds no JSON object")
    return value
