"""How often training meets each item: counted once, by the driver, and kept with the run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from saccade.models.jagged import Jagged
from saccade.pipelines.parquet.source import Source
from saccade.pipelines.runs import Runs
from saccade.pipelines.tasks.holdout import Holdout
from saccade.pipelines.tasks.next_item import LEAVE_ONE_OUT

COUNTS = "item_counts.safetensors"
"""The artifact that negatives by popularity, and evaluation by popularity, depend on."""


def count_items(source: Source, column: str, items: int, holdout: Holdout = LEAVE_ONE_OUT) -> Tensor:
    """[items] int64: the events of each item in all histories, without those that evaluation holds out."""
    counts = torch.zeros(items, dtype=torch.int64)
    for learned in training_items(source, column, holdout):
        counts += torch.bincount(learned.values, minlength=items)
    return counts


def training_items(source: Source, column: str, holdout: Holdout) -> Iterator[Jagged]:
    """Histories without the items that evaluation holds out, a row group at a time."""
    for group in source.row_groups:
        examples = source.read(group.first_row, group.first_row + group.rows)
        history = examples.columns[column]
        assert isinstance(history, Jagged)
        runs = Runs.of(history)
        yield Runs(runs.values, runs.starts, holdout.cut(history, examples, "train").lengths).pack()


def save_counts(counts: Tensor, artifacts: Path) -> None:
    """Keep them with what a run fitted."""
    save_file({"counts": counts}, artifacts / COUNTS)


def load_counts(artifacts: Path) -> Tensor:
    """What ``save_counts`` kept."""
    return load_file(artifacts / COUNTS)["counts"]


def find_counts(artifacts: Path) -> Tensor | None:
    """What ``save_counts`` kept; None for a run that began before items were counted."""
    return load_counts(artifacts) if (artifacts / COUNTS).exists() else None
