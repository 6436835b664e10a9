"""What a run leaves of its attention when it ends: heat maps of a few rows, for its report."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from saccade.cluster.explaining.layers import find_layers, spread
from saccade.cluster.explaining.pictures import save_pictures, show
from saccade.cluster.explaining.row import look
from saccade.cluster.explaining.subject import ROWS, first_rows, open_subject
from saccade.cluster.job import Job
from saccade.cluster.report.attention import FOLDER, HeatMaps
from saccade.cluster.training.sources import has_split
from saccade.pipelines.records.progress import Progress
from saccade.pipelines.task import Split

LAYERS, LONGEST, FAR = 4, 512, 1024
"""Of at most how many layers, of rows of so many tokens at most, and how many rows are looked through for them.

A matrix of scores has the square of the tokens."""


def leave_heat_maps(
    job: Job, facts: Mapping[str, Any], folder: Path, checkpoint: Path, progress: Progress, pictures: bool
) -> dict[str, Path]:
    """What a run leaves of its attention when it ends: a few rows, for its report. On one rank.

    Whatever goes wrong is a warning in the log: the run is done all the same.

    Args:
        job: the run's.
        facts: likewise.
        folder: likewise.
        checkpoint: the best one.
        progress: is told what goes wrong.
        pictures: whether to write them as files too.

    Returns:
        The pictures by the names that trackers know them by.
    """
    try:
        splits: tuple[Split, ...] = ("valid", "test", "train")
        split = next(name for name in splits if has_split(job, name))
        subject = open_subject(job, facts, folder / "artifacts", checkpoint, split, checked=True)
        layers = spread(find_layers(subject.model.network), LAYERS)
        numbers = first_rows(subject, ROWS, LONGEST, FAR) if layers else iter(())
        rows = (look(subject, number, layers) for number in numbers)
        maps = [show(row, layer, split) for row in rows for layer in row.layers]
        if not maps:
            what = f"no row of {split} among the first {FAR} has 2 to {LONGEST} tokens" if layers else "there is none"
            progress.message(f"no heat maps of the attention: {what}")
            return {}
        output = folder / FOLDER
        output.mkdir(exist_ok=True)
        HeatMaps(split, subject.step, maps).write(output)
        saved = save_pictures(maps, split, output) if pictures else {}
        return {f"{FOLDER}/{name}": path for name, path in saved.items()}
    except Exception as error:  # of a model or a data set that nobody here knows
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        progress.message(f"no heat maps of the attention ({reason}): `saccade explain` makes them", "WARNING")
        return {}
