"""Saves one checkpoint while training waits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from saccade.models.table import Table
from saccade.pipelines.checkpoint.saver import Saver
from saccade.pipelines.collective import Collective

if TYPE_CHECKING:  # engine.py imports the reader, and so this package
    from saccade.pipelines.engines.engine import EngineState


def save(
    folder: Path,
    state: EngineState,
    *,
    step: int,
    training: Mapping[str, Any],
    job: Mapping[str, Any],
    tables: Sequence[Table],
    collective: Collective,
) -> Path:
    """Write a checkpoint. A collective; the arguments, the result and what it raises are those of :class:`Saver`."""
    with closing(Saver(folder, job=job, tables=tables, collective=collective)) as saver:
        saver.begin(state, step=step, training=training)
        return saver.seal()
