"""A run's numbers in Weights & Biases, online or in files that ``wandb sync`` sends later."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from saccade.pipelines.records.record import plain
from saccade.plugins.wandb.mode import Mode, choose_mode

if TYPE_CHECKING:
    import wandb

logger = logging.getLogger(__name__)

INIT_TIMEOUT = 60.0
"""Seconds that an online start waits for the server before the run goes on offline."""
FINISH_TIMEOUT = 120.0
"""Seconds that the end of a run waits for uploads; what is left stays in files for ``wandb sync``."""


class WandbTracker:
    """Logs to one W&B run: a :class:`Tracker` for rank 0, made by :meth:`start`.

    A failure of W&B never stops training: the first one is logged as a warning, and the tracker is silent from there.

    Attributes:
        mode: how the run is tracked; ``disabled`` also after a failure.
    """

    def __init__(self, run: wandb.Run | None, mode: Mode) -> None:
        self._run = run
        self.mode = mode

    @classmethod
    def start(
        cls,
        run_folder: Path,
        run_id: str,
        name: str,
        job: Mapping[str, Any],
        record: Mapping[str, Any],
        mode: str = "auto",
        project: str = "saccade",
        entity: str | None = None,
        group: str | None = None,
        tags: Sequence[str] = (),
    ) -> WandbTracker:
        """Start the W&B run, or continue it after a restart.

        Args:
            run_folder: where W&B's files go, in ``wandb/``.
            run_id: the same at every restart of a run.
            name: the run's display name.
            job: the resolved job, logged as config.
            record: facts beyond the job (commit, data, environment: ``run.json``), logged as config under ``record``.
            mode: ``auto``, ``online``, ``offline`` or ``disabled``; see :func:`choose_mode`.
            project: the W&B project.
            entity: the user or team; None for the account's default.
            group: the group of runs it belongs to.
            tags: labels of the run.

        Raises:
            UserError: online was asked for without an API key, or the mode is unknown.
        """
        chosen = choose_mode(mode)
        if chosen == "disabled":
            return cls(None, "disabled")
        run_folder.mkdir(parents=True, exist_ok=True)
        config = plain({**job, "record": record})

        def init(mode: Mode) -> wandb.Run:
            return _init(run_folder, mode, run_id, name, config, project, entity, group, tags)

        if chosen == "online":
            try:
                return cls(init("online"), "online")
            except Exception as error:
                logger.warning("wandb can't go online (%s): the run is tracked offline", _one_line(error))
                _teardown()
        try:
            return cls(init("offline"), "offline")
        except Exception as error:
            logger.warning("wandb doesn't start (%s): the run is not tracked there", _one_line(error))
            return cls(None, "disabled")

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Log the metrics with ``step`` as a value of its own.

        W&B counts its own steps from 0 again when an offline run is continued, so that number can't be relied on.
        """
        self._guard(lambda run: run.log({"step": step, **metrics}))

    def show(self, step: int, pictures: Mapping[str, Path]) -> None:
        """Log picture files as images; W&B keeps copies."""

        def log(run: wandb.Run) -> None:
            import wandb

            run.log({"step": step} | {name: wandb.Image(str(path)) for name, path in pictures.items()})

        if pictures:
            self._guard(log)

    def finish(self, result: Mapping[str, Any]) -> None:
        """Write the result's metrics and totals to the run's summary and close the run."""
        totals = {key: value for key, value in result.items() if isinstance(value, str | int | float)}

        def close(run: wandb.Run) -> None:
            run.summary.update(plain({**totals, **result.get("metrics", {})}))
            run.finish()

        self._guard(close)
        self._run = None

    def _guard(self, action: Callable[[wandb.Run], None]) -> None:
        if self._run is None:
            return
        try:
            action(self._run)
        except Exception as error:
            logger.warning("wandb failed (%s): the run goes on without it", _one_line(error))
            self._run = None
            self.mode = "disabled"
            _teardown()


def _init(
    run_folder: Path,
    mode: Mode,
    run_id: str,
    name: str,
    config: dict[str, Any],
    project: str,
    entity: str | None,
    group: str | None,
    tags: Sequence[str],
) -> wandb.Run:
    os.environ.setdefault("WANDB_SILENT", "true")  # logging in prints whatever the settings say
    import wandb

    settings = wandb.Settings(
        reinit="create_new",  # a run that failed in this process and is still open is none of this one's
        silent=True,
        console="off",  # the run's own log holds the messages
        show_errors=False,
        show_warnings=False,
        init_timeout=INIT_TIMEOUT,
        finish_timeout=FINISH_TIMEOUT,
    )
    run = wandb.init(
        dir=run_folder,
        mode="online" if mode == "online" else "offline",
        id=run_id,
        name=name,
        resume="allow",
        config=config,
        project=project,
        entity=entity,
        group=group,
        tags=list(tags),
        settings=settings,
        allow_val_change=True,
    )
    run.define_metric("step")
    run.define_metric("*", step_metric="step")
    return run


def _teardown() -> None:
    """End W&B's service process after a failure: it still holds the run's id, and would complain again at exit."""
    import wandb

    with contextlib.suppress(Exception):
        wandb.teardown()


def _one_line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
