"""``saccade explain``: where a trained model's attention looks in chosen rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from saccade.cluster.explaining.layers import choose_layers
from saccade.cluster.explaining.pictures import as_file_name, save_pictures, show
from saccade.cluster.explaining.row import look
from saccade.cluster.explaining.subject import ROWS, first_rows, open_subject
from saccade.cluster.explaining.token_names import read_item_names
from saccade.cluster.job import NextItemJob, load_job
from saccade.cluster.job.next_item_models import Counted
from saccade.cluster.parts.check import check_parts
from saccade.cluster.report.attention import FILE, FOLDER, HeatMaps
from saccade.cluster.training.best import best_checkpoint
from saccade.cluster.writing import writing
from saccade.pipelines.errors import UserError
from saccade.pipelines.records.record import read_json
from saccade.pipelines.task import Split

NUMBERS = "weights.npz"
"""All weights of the rows and layers that were asked for, also what is too long to show."""


def explain(
    run: Path,
    overrides: Sequence[str] = (),
    *,
    split: Split = "valid",
    rows: Sequence[int] = (),
    count: int = ROWS,
    layers: Sequence[str] = (),
    heads: Sequence[int] = (),
    tokens: int | None = None,
    names: Path | None = None,
    output: Path | None = None,
) -> dict[str, Any]:
    """Write heat maps of a run's attention, and the weights themselves.

    Args:
        run: the run's folder; its best checkpoint is used.
        overrides: ``key=value`` changes of its job, another data set of the same shape, say.
        split: whose rows.
        rows: their numbers in it; none for the first ``count`` that have two tokens or more.
        count: how many, where ``rows`` doesn't say which.
        layers: numbers or names; none for all.
        heads: numbers; none for all.
        tokens: that a picture shows at most; None for as many as can be read.
        names: a Parquet file with the items' ``id`` and ``name``.
        output: the folder to write to; None for ``attention`` in the run's.

    Returns:
        ``run``, ``split``, ``step``, ``rows``, ``layers`` (names by number), ``output`` and ``files``.

    Raises:
        UserError: anything that the user can mend.
    """
    job = load_job(run / "job.yaml", overrides).resolved(Path.cwd())
    check_parts(job, run)
    if isinstance(job.model, Counted):
        raise UserError(f"{run} has no attention to look at: {job.model.name} counts items")
    subject = open_subject(job, read_json(run / "run.json")["facts"], run / "artifacts", best_checkpoint(run), split)
    if names is not None and not isinstance(job, NextItemJob):
        raise UserError(f"--names gives the names of items, but {run} is a run of {job.task}: leave it out")
    items = read_item_names(names) if names is not None else {}
    chosen = choose_layers(subject.model.network, layers)
    found = list(dict.fromkeys(rows)) or list(first_rows(subject, count))
    if not found:
        raise UserError(f"no row of the {split} split has two tokens or more: choose another --split")
    output = output or run / FOLDER
    numbers: dict[str, np.ndarray[Any, Any]] = {}
    maps = []
    for number in found:
        row = look(subject, number, chosen, list(dict.fromkeys(heads)), items)
        maps += [show(row, layer, split, tokens) for layer in row.layers]
        numbers |= {f"row-{number}/{as_file_name(str(one.layer))}": one.weights.numpy() for one in row.layers}
        numbers[f"row-{number}/tokens"] = np.array(list(row.tokens.names), dtype=np.str_)
    with writing(output):
        output.mkdir(parents=True, exist_ok=True)
        pictures = save_pictures(maps, split, output)
        np.savez_compressed(output / NUMBERS, **numbers)  # type: ignore[arg-type]  # its stub knows no mapping
        HeatMaps(split, subject.step, maps).write(output)
    return {
        "run": str(run),
        "split": split,
        "step": subject.step,
        "rows": found,
        "layers": {layer.label: layer.name for layer in chosen},
        "output": str(output),
        "files": [*(path.name for path in pictures.values()), NUMBERS, FILE],
    }
