"""Runs a function on N workers with Ray Train, restarts them after failures, and brings errors back in one piece."""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from saccade.pipelines.records.progress import Progress
from saccade.plugins.ray.interrupt import ASKED, interrupt_on_signals, nobody, restored_signals, stop_file
from saccade.plugins.ray.quiet import no_ray_messages, worker_environment
from saccade.plugins.ray.session import Device, Session, Workers, ray_session, waiting_for

# A collective that waits longer has lost its peers. Long, because rank 0 may save or count alone meanwhile.
COLLECTIVE_TIMEOUT_S = 1800

RESIZE_INTERVAL_S = "SACCADE_RESIZE_INTERVAL_S"
"""Environment variable: seconds from one look for new nodes to the next. A change of size costs half a minute."""


def launch(
    function: Callable[[dict[str, Any]], None],
    arguments: dict[str, Any],
    *,
    workers: Workers,
    cpus_per_worker: int,
    device: Device,
    storage: Path,
    max_failures: int,
    stops: bool = False,
    announce: Callable[[int], str] | None = None,
) -> None:
    """Call ``function(arguments)`` on every worker, inside a torch process group, and wait for all to return.

    If a worker raises or dies, all are started anew (up to ``max_failures`` times) and the function is called again:
    it has to resume from its own checkpoints. Workers write their output to ``storage/logs/rank-R.log``.

    Args:
        function: importable where the workers run.
        arguments: plain data.
        workers: how many, the process group's world size; a pair (least, most) takes what there is, and changes as
            nodes come and go, each time calling the function again.
        cpus_per_worker: CPUs reserved for each, and its compute threads.
        device: ``cuda`` gives each a GPU and nccl, ``cpu`` gloo; ``auto`` goes by whether there is a GPU for each.
        storage: the run's folder, seen by all nodes.
        max_failures: restarts before giving up.
        stops: whether the function looks at :class:`saccade.pipelines.training.stop.Stop`, and saves and raises
            ``Stopped``. If so it is asked to before it is interrupted, resized or preempted.
        announce: what to tell in the run's log when so many workers start; importable where this runs.

    Raises:
        UserError: raised by the function on any worker (never restarted), or the workers ask for more than there is.
        RunFailed: the restarts are used up.
        KeyboardInterrupt: SIGINT or SIGTERM came, or the file ``storage/stop``; the workers have been stopped.
    """
    storage = storage.absolute()
    with (
        restored_signals(),
        ray_session(workers, cpus_per_worker, device) as session,
        no_ray_messages(),
        stop_file(storage) as file,
    ):
        interrupt_on_signals(_asking(storage, file) if stops else nobody)
        if wait := waiting_for(workers, cpus_per_worker):
            Progress(storage).message(wait, "WARNING")
        _fit(
            function,
            arguments,
            workers=workers,
            cpus_per_worker=cpus_per_worker,
            session=session,
            storage=storage,
            max_failures=max_failures,
            stops=stops,
            announce=announce,
        )


def _fit(
    function: Callable[[dict[str, Any]], None],
    arguments: dict[str, Any],
    *,
    workers: Workers,
    cpus_per_worker: int,
    session: Session,
    storage: Path,
    max_failures: int,
    stops: bool,
    announce: Callable[[int], str] | None,
) -> None:
    from ray import cloudpickle
    from ray.train import FailureConfig, LoggingConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig

    from saccade.plugins.ray.failures import translate
    from saccade.plugins.ray.group import Group
    from saccade.plugins.ray.trainer import Trainer
    from saccade.plugins.ray.worker import Work, run

    use_gpu = session.use_gpu
    work = Work(cloudpickle.dumps(function), arguments, Path.cwd(), storage / "logs", cpus_per_worker)
    # A name that was used before would make Ray resume from its own snapshots, which can be damaged or stale.
    name = uuid.uuid4().hex[:12]
    trainer = Trainer(
        alone=session.alone,
        train_loop_per_worker=run,
        train_loop_config={"work": work},
        torch_config=TorchConfig(backend="nccl" if use_gpu else "gloo", timeout_s=COLLECTIVE_TIMEOUT_S),
        scaling_config=ScalingConfig(
            num_workers=workers,
            use_gpu=use_gpu,
            resources_per_worker={"CPU": cpus_per_worker} | ({"GPU": 1} if use_gpu else {}),
            # What can't save in time would only be thrown away by a change of size.
            elastic_resize_monitor_interval_s=float(os.environ.get(RESIZE_INTERVAL_S, "60")) if stops else 1e9,
        ),
        run_config=RunConfig(
            name=name,
            storage_path=str(storage / "ray"),
            failure_config=FailureConfig(max_failures=-1),  # Group counts
            callbacks=[Group(storage, max_failures, stops=stops, announce=announce)],
            # Ray Train would log each error a second time; its own log files have it at any level.
            logging_config=LoggingConfig(log_level="CRITICAL"),
            worker_runtime_env={"env_vars": worker_environment(cpus_per_worker, use_gpu)},
        ),
    )
    try:
        trainer.fit()
    except Exception as error:
        raise translate(error) from None
    finally:
        shutil.rmtree(storage / "ray" / name, ignore_errors=True)


def _asking(storage: Path, file: Path) -> Callable[[], bool]:
    """A function that asks those who train in ``storage`` to stop, by the file that their loop looks for."""
    before = _progress(storage)

    def ask() -> bool:
        now = _progress(storage)
        if now == before or now.get("phase") not in ("training", "evaluating", "saving"):
            return False  # there is nothing new to save yet
        Progress(storage).message(ASKED)
        file.touch()
        return True

    return ask


def _progress(storage: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads((storage / "progress.json").read_text())
    except (OSError, ValueError):
        return {}
    return found
