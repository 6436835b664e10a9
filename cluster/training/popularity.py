"""How often training meets each item: counted once, by the driver, and kept with the run."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from saccade.models.jagged import Jagged
from saccade.pipelines.parquet.source import Source
from saccade.pipelines.runs import Runs
from saccade.pipelines.tasks.next_item import HELD_OUT

COUNTS = "item_counts.safetensors"
"""The artifact that negatives by popularity depend on."""


def count_items(source: Source, column: str, items: int) -> Tensor:
    """[items] int64: the events of each item in all histories, without those that evaluation holds out."""
    counts = torch.zeros(items, dtype=torch.int64)
    for group in source.row_groups:
        history = source.read(group.first_row, group.first_row + group.rows).columns[column]
        assert isinstance(history, Jagged)
        counts += torch.bincount(training_items(history).values, minlength=items)
    return counts


def training_items(history: Jagged) -> Jagged:
    """Histories without the items that evaluation holds out."""
    runs = Runs.of(history)
    return Runs(runs.values, runs.starts, (runs.lengths - HELD_OUT["train"]).clamp(min=0)).pack()


def save_counts(counts: Tensor, artifacts: Path) -> None:
    """Keep them with what a run fitted."""
    save_file({"counts": counts}, artifacts / COUNTS)


def load_counts(artifacts: Path) -> Tensor:
    """What ``save_counts`` kept."""
    return load_file(artifacts / COUNTS)["counts"]
