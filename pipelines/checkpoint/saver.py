"""Saves checkpoints while training goes on.

Every rank copies its state and writes the copy in a thread of its own; then rank 0 seals the checkpoint with the
manifest and gives the folder its name. Until that rename nothing counts, so a crash, a full disk or a lost rank at any
moment leaves the older checkpoints as they were. What is left half written is removed by the next save.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from safetensors import SafetensorError

from saccade.models.table import Table
from saccade.pipelines.checkpoint.manifest import Manifest, plain
from saccade.pipelines.checkpoint.retention import clean, remove, step_name
from saccade.pipelines.checkpoint.share import Share, check_shapes, sync_folder, table_entries, write_share
from saccade.pipelines.checkpoint.snapshot import HostMemory, tensors
from saccade.pipelines.collective import Collective
from saccade.pipelines.errors import UserError

if TYPE_CHECKING:  # engine.py imports the reader, and so this package
    from saccade.pipelines.engines.engine import EngineState

# Room for the headers, the manifest and the run's own small files on top of the tensors.
_SPARE_BYTES = 1 << 20

T = TypeVar("T")


class _NotWrittenError(Exception):
    """Some rank could not write; the message says why."""


@dataclass(frozen=True)
class _Save:
    """A save that was begun: what the manifest will say, and this rank's share, or why nothing is being written."""

    step: int
    created: str
    training: Mapping[str, Any]
    engine: Mapping[str, float]
    needed: int
    share: Future[Share] | None
    failure: str | None


class Saver:
    """Saves checkpoints of one run, one at a time. All methods but ``written`` and ``close`` are collectives.

    It keeps host memory of the size of this rank's share, for the copy that is written.

    Args:
        folder: the run's ``checkpoints``, on storage that all ranks see; made where it is missing.
        job: the resolved job, as JSON values; kept in each checkpoint.
        tables: the model's tables.
        collective: the ranks.
        artifacts: a folder of what was fitted to the data, copied into each checkpoint; None for nothing.
    """

    def __init__(
        self,
        folder: Path,
        *,
        job: Mapping[str, Any],
        tables: Sequence[Table],
        collective: Collective,
        artifacts: Path | None = None,
    ) -> None:
        self.folder, self.job, self.tables, self.collective = folder, plain(job), tables, collective
        self.artifacts = sorted(artifacts.iterdir()) if artifacts and collective.rank == 0 else []
        self._artifact_bytes = sum(file.stat().st_size for file in self.artifacts)
        self._memory = HostMemory()
        # No collective is ever called in the thread: it would get in between those of the training.
        self._thread = ThreadPoolExecutor(1, "saccade-checkpoint")
        self._save: _Save | None = None

    @property
    def in_flight(self) -> bool:
        """Whether a save was begun and isn't sealed."""
        return self._save is not None

    def written(self) -> bool:
        """Whether this rank has nothing more to write: it is done, has failed, or no save is in flight."""
        return self._save is None or self._save.share is None or self._save.share.done()

    def begin(self, state: EngineState, *, step: int, training: Mapping[str, Any]) -> None:
        """Copy the state and begin to write the copy. Whatever prevents that is told by ``seal``.

        Args:
            state: this rank's share; it may change as soon as this returns.
            step: optimizer steps taken. A checkpoint of the same step is replaced.
            training: what the loop needs to go on, as JSON values.

        Raises:
            UserError: a save was in flight, and sealing that one failed; this one isn't begun.
            ValueError: the state isn't what it should be (a mistake in an engine).
        """
        if self.in_flight:
            self.seal()
        check_shapes(state)
        created, training = datetime.now(UTC).isoformat(timespec="seconds"), plain(training)
        rank, world_size = self.collective.rank, self.collective.world_size
        own = sum(tensor.numel() * tensor.element_size() for tensor in tensors(state)) + self._artifact_bytes
        needed = sum(self.collective.gather_objects(own)) + _SPARE_BYTES
        share, failure = None, None
        try:
            self._everywhere(lambda: _prepare(self._writing(step), needed) if rank == 0 else None)
            part = f"part-{rank}-of-{world_size}"
            share = self._thread.submit(
                write_share, self._writing(step), self._memory.copy(state), part, self.artifacts
            )
        except _NotWrittenError as error:
            failure = str(error)
        self._save = _Save(step, created, training, dict(state.scalars), needed, share, failure)

    def seal(self) -> Path:
        """Wait until all ranks have written, and make a checkpoint of it.

        Returns:
            The checkpoint's folder.

        Raises:
            UserError: it could not be written (disk full, no permission, …), on all ranks alike. Older checkpoints are
                as they were, and nothing of this one is left.
            ValueError: the ranks' shares together aren't the tables (a mistake in an engine).
        """
        save, self._save = self._save, None
        if save is None:
            raise RuntimeError("seal: no save is in flight")
        try:
            if save.failure is not None:
                raise _NotWrittenError(save.failure)
            share = save.share
            assert share is not None
            shares = self._everywhere(share.result)
            entries = table_entries(self.tables, shares)
            self._everywhere(lambda: self._finish(save, shares, entries) if self.collective.rank == 0 else None)
        except _NotWrittenError as error:
            raise UserError(self._explain(save, str(error))) from None
        return self.folder / step_name(save.step)

    def close(self) -> None:
        """Wait until this rank writes nothing any more. A save in flight is given up."""
        self._save = None
        self._thread.shutdown()

    def _writing(self, step: int) -> Path:
        return self.folder / f"{step_name(step)}.writing"

    def _everywhere(self, action: Callable[[], T]) -> list[T]:
        """Every rank's result of ``action``; where it fails on one rank, all of them raise _NotWrittenError."""
        outcome: tuple[T | None, str | None]
        try:
            outcome = action(), None
        except (OSError, SafetensorError) as error:
            outcome = None, _reason(error)
        results = []
        for rank, (result, failure) in enumerate(self.collective.gather_objects(outcome)):
            if failure is not None:
                raise _NotWrittenError(failure if self.collective.world_size == 1 else f"{failure} on rank {rank}")
            results.append(result)
        return results

    def _finish(self, save: _Save, shares: Sequence[Share], entries: Mapping[str, Any]) -> None:
        manifest = Manifest(
            step=save.step,
            created=save.created,
            training=save.training,
            job=self.job,
            engine=save.engine,
            tables=entries,
            network={name: file for share in shares for name, file in share.network.items()},
            files={path: entry for share in shares for path, entry in share.files.items()},
        )
        _name(manifest, self._writing(save.step), self.folder / step_name(save.step))

    def _explain(self, save: _Save, failure: str) -> str:
        """Remove what is left of the save; the same message on all ranks."""
        free = ""
        if self.collective.rank == 0:
            with contextlib.suppress(OSError):
                clean(self.folder)
            free = _free(self.folder)
        return (
            f"checkpoint {step_name(save.step)} could not be written to {self.folder}: {failure} (needs "
            f"{save.needed / 2**20:.1f} MiB, {self.collective.broadcast_object(free)}): mend that or set another "
            "run.storage; older checkpoints are untouched"
        )


def _prepare(writing: Path, needed: int) -> None:
    folder = writing.parent
    folder.mkdir(parents=True, exist_ok=True)
    clean(folder)
    # Before anything is written, so that a save that can't end doesn't fill up what other programs need.
    if shutil.disk_usage(folder).free < needed:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    writing.mkdir()


def _name(manifest: Manifest, writing: Path, target: Path) -> None:
    """Write the manifest, and make the folder count by its name."""
    manifest.write(writing)
    sync_folder(writing)
    replaced = target.with_suffix(".replaced")
    if target.exists():
        target.rename(replaced)
    writing.rename(target)
    sync_folder(target.parent)
    if replaced.exists():
        remove(replaced)


def _reason(error: OSError | SafetensorError) -> str:
    text = error.strerror if isinstance(error, OSError) else None
    return text or re.sub(r"^Error while serializing: I/O error: | \(os error \d+\)$", "", str(error))


def _free(folder: Path) -> str:
    try:
        return f"{shutil.disk_usage(folder).free / 2**20:.1f} MiB free"
    except OSError:
        return "free space unknown"
