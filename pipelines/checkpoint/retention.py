"""Which checkpoints of a run there are, which one to go on from, and which ones to remove.

A checkpoint counts once its folder is called ``step-…`` with nothing behind the number. While it is written it is
called ``step-….writing``, while it is removed ``step-….deleting``, and while a newer one of the same step takes its
place ``step-….replaced``.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from saccade.pipelines.checkpoint.manifest import DamagedCheckpoint, Manifest
from saccade.pipelines.checkpoint.reader import CheckpointReader
from saccade.pipelines.errors import UserError

STEP = re.compile(r"step-(\d{8,})")
"""The name of a checkpoint's folder."""


def step_name(step: int) -> str:
    """The name of the folder of the checkpoint at ``step``."""
    return f"step-{step:08d}"


def checkpoints(folder: Path) -> list[Path]:
    """The checkpoints in ``folder``, oldest step first, good or damaged; empty where there is no such folder."""
    if not folder.is_dir():
        return []
    return sorted((path for path in folder.iterdir() if STEP.fullmatch(path.name) and path.is_dir()), key=_step)


def newest_good(folder: Path, warn: Callable[[str], None]) -> Path | None:
    """The checkpoint of the latest step that is whole; None where there is none at all.

    It reads every file of the checkpoint, so one rank calls it and tells the others. It changes nothing on the disk.

    Args:
        folder: the run's ``checkpoints``.
        warn: gets a line for each damaged checkpoint that is passed over.

    Raises:
        UserError: there are checkpoints, but all of them are damaged.
    """
    damaged: list[tuple[Path, str]] = []
    for path in reversed(checkpoints(folder)):
        try:
            CheckpointReader(path).verify()
        except DamagedCheckpoint as damage:
            damaged.append((path, f"{damage.file}: {damage.reason}"))
            continue
        for passed_over, what in damaged:
            warn(f"checkpoint {passed_over} is damaged ({what}); falling back to {path.name}")
        return path
    if damaged:
        raise UserError(
            f"every checkpoint in {folder} is damaged ({'; '.join(f'{path.name}, {what}' for path, what in damaged)}): "
            "restore one from a copy, or start afresh under another run.name; nothing was deleted"
        )
    return None


def prune(folder: Path, keep_last: int, best: Sequence[int] = (), saved: int | None = None) -> None:
    """Remove old checkpoints.

    One that is seen to be damaged, without reading all of it, doesn't count among those that stay; it goes when it is
    older than all of them.

    Args:
        folder: the run's ``checkpoints``.
        keep_last: how many of the latest steps to keep, at least 1.
        best: steps to keep besides.
        saved: the step that was just saved. Checkpoints beyond it were passed over when the run resumed, because they
            are damaged: they are neither counted nor removed, so that they never push out a good one.
    """
    if keep_last < 1:
        raise ValueError(f"prune: keep_last is {keep_last}, but at least 1 checkpoint must stay")
    kept = 0
    for path in reversed(checkpoints(folder)):
        if saved is not None and _step(path) > saved:
            continue
        if kept >= keep_last and _step(path) not in best:
            remove(path)
        elif kept < keep_last:
            kept += _seems_whole(path)


def clean(folder: Path) -> None:
    """Finish what an interrupted save or removal left behind. Only for the one process that writes to ``folder``."""
    for path in list(folder.glob("step-*.*")):
        if path.suffix in (".writing", ".deleting"):
            shutil.rmtree(path)
        elif path.suffix == ".replaced":
            if path.with_suffix("").exists():
                remove(path)
            else:
                path.rename(path.with_suffix(""))


def remove(path: Path) -> None:
    """Remove a checkpoint so that, stopped halfway, it doesn't count any more."""
    doomed = path.with_suffix(".deleting")
    if doomed.exists():
        shutil.rmtree(doomed)
    path.rename(doomed)
    shutil.rmtree(doomed)


def _seems_whole(path: Path) -> bool:
    """Whether the manifest is right and every file has its size."""
    try:
        manifest = Manifest.read(path)
        return all((path / file).stat().st_size == entry.bytes for file, entry in manifest.files.items())
    except (UserError, OSError):
        return False


def _step(path: Path) -> int:
    return int(path.name.removeprefix("step-"))
