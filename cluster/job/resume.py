"""Which changes to a job file a run survives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from saccade.cluster.job.attention import WRITTEN_OUT
from saccade.cluster.job.job import Job

FREE = (
    "run.workers", "run.cpus_per_worker", "run.max_failures", "run.storage", "run.name", "run.start_from",
    "plugins", "model.attention.backend", "model.block.backend",
    "engine.", "train.epochs", "train.log_every", "train.on_not_finite", "evaluate.", "checkpoint.", "wandb.",
)  # fmt: skip
"""Keys, and sections, that may change between two starts of a run: they don't touch what it has learned so far."""


def resume_differences(old: Job, new: Job) -> list[str]:
    """Changes that make resuming ``old`` as ``new`` meaningless, as ``key: old -> new``; empty where it may resume."""
    before, after = (_flat(job.model_dump(mode="json", context=WRITTEN_OUT)) for job in (old, new))
    keys = dict.fromkeys([*before, *after])
    changed = [key for key in keys if before.get(key) != after.get(key) and not key.startswith(FREE)]
    hard = [key for key in changed if not _free_in_table(key, before, after)]
    return [f"{key}: {before.get(key, 'unset')} -> {after.get(key, 'unset')}" for key in hard]


def _free_in_table(key: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Whether a changed key is about how a table is split, or lets it grow, or is its number of rows, grown."""
    section, _, name = key.rpartition(".")
    if not section.startswith("tables."):
        return False
    rows, had = after.get(f"{section}.rows"), before.get(f"{section}.rows")
    # How many rows auto stands for is found out where the checkpoint is loaded.
    more = not (isinstance(rows, int) and isinstance(had, int)) or rows >= had
    return name in ("sharding", "grow") or (name == "rows" and bool(after.get(f"{section}.grow")) and more)


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat.update(_flat(value, f"{prefix}{key}."))
        else:
            flat[prefix + key] = value
    return flat
