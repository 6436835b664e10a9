"""Which changes to a job file a run survives."""

from __future__ import annotations

from typing import Any

from saccade.cluster.job.job import Job

FREE = (
    "run.workers", "run.cpus_per_worker", "run.max_failures", "run.storage", "run.name",
    "engine.", "train.epochs", "train.log_every", "evaluate.", "checkpoint.", "wandb.",
)  # fmt: skip
"""Keys, and sections, that may change between two starts of a run: they don't touch what it has learned so far."""


def resume_differences(old: Job, new: Job) -> list[str]:
    """Changes that make resuming ``old`` as ``new`` meaningless, as ``key: old -> new``; empty where it may resume."""
    before, after = _flat(old.model_dump(mode="json")), _flat(new.model_dump(mode="json"))
    keys = dict.fromkeys([*before, *after])
    changed = [key for key in keys if before.get(key) != after.get(key) and not key.startswith(FREE)]
    return [f"{key}: {before.get(key, 'unset')} -> {after.get(key, 'unset')}" for key in changed]


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat.update(_flat(value, f"{prefix}{key}."))
        else:
            flat[prefix + key] = value
    return flat
