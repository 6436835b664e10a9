"""``saccade recommend --workers N``: a request answered by Ray workers, each part of the rows into a file of its own.

Every worker holds the whole model. A part's file comes whole or not at all, so the files that are there are what has
been done: the same command does the others. How rows are cut into parts doesn't depend on the number of workers.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from saccade.cluster.using.model import Model
from saccade.cluster.using.request import Request
from saccade.cluster.writing import writing
from saccade.pipelines.errors import UserError
from saccade.pipelines.inference.apply import Application
from saccade.pipelines.inference.file import delete_unfinished, write_file
from saccade.pipelines.memory import keep_freed_memory
from saccade.pipelines.records.only_one import only_one
from saccade.pipelines.records.record import read_json, write_json

NAME = ".request.json"
"""What the parts in a folder are parts of."""

LOST_WORKERS = 3
"""How often a part is begun again because its worker died."""


@dataclass(frozen=True)
class Parts:
    """A request cut into parts, and where they go; may be sent to workers.

    Attributes:
        request: with absolute paths.
        output: the folder, seen by all nodes.
        rows: of a part; the last one may have fewer.
    """

    request: Request
    output: Path
    rows: int

    def application(self, model: Model) -> Application:
        """The request's; a part is a whole number of windows."""
        asked = self.request.application(model)
        return replace(asked, window=min(asked.window, self.rows))

    def windows(self, asked: Application) -> int:
        """Windows of a part."""
        return -(-self.rows // asked.window)

    def count(self, asked: Application) -> int:
        """How many parts there are."""
        return -(-asked.windows // self.windows(asked))

    def file(self, part: int) -> Path:
        """Where a part goes."""
        return self.output / f"part-{part:05}.parquet"


def answer_in_parts(request: Request, output: Path, workers: int, rows: int) -> dict[str, Any]:
    """Write the answers for every row to a folder of Parquet files, which in the order of their names have the rows'.

    Args:
        request: what is asked.
        output: the folder; what is in it of the same request is kept.
        workers: Ray processes.
        rows: of a part.

    Returns:
        ``run``, ``output``, ``parts``, ``done_before`` (parts), ``rows`` (of the others), ``seconds`` and
        ``rows_per_second``.

    Raises:
        UserError: anything that the user can mend.
    """
    from saccade.plugins.ray.parts import run_parts

    parts = Parts(_absolute(request), output.absolute(), rows)
    model = parts.request.open()
    asked = parts.application(model)
    count = parts.count(asked)
    _claim(parts, asked, model)
    written = 0
    with contextlib.ExitStack() as stack:
        with writing(output):
            doing = f"--output {output} is being written"
            stack.enter_context(only_one(parts.output, doing, "wait for it, or name another folder"))
            delete_unfinished(parts.output)
        missing = [part for part in range(count) if not parts.file(part).exists()]
        began = time.monotonic()
        bar = stack.enter_context(tqdm(total=count, initial=count - len(missing), unit=" parts", disable=None))

        def done(part: int, rows: int) -> None:
            nonlocal written
            written += rows
            bar.update()

        run_parts(
            answer_part,
            parts,
            missing,
            workers=workers,
            cpus_per_worker=model.job.run.cpus_per_worker,
            device=model.job.engine.device,
            max_failures=LOST_WORKERS,
            done=done,
        )
    seconds = time.monotonic() - began
    return {
        "run": request.model,
        "output": str(output),
        "parts": count,
        "done_before": count - len(missing),
        "rows": written,
        "seconds": round(seconds, 3),
        "rows_per_second": round(written / seconds, 1),
    }


def answer_part(parts: Parts) -> Callable[[int], int]:
    """On a worker: open the model once, and give the function that writes a part."""
    keep_freed_memory()
    asked = parts.application(parts.request.open())
    windows = parts.windows(asked)

    def do(part: int) -> int:
        last = min((part + 1) * windows, asked.windows)
        with writing(parts.output):
            return write_file(parts.file(part), asked.batches(part * windows, last, lambda rows: None))

    return do


def _claim(parts: Parts, asked: Application, model: Model) -> None:
    """Note what the folder is for, or see that it is for this.

    Raises:
        UserError: it has something else in it, or can't be written.
    """
    wanted = {**asdict(parts.request), "rows": parts.rows, "window": asked.window}
    wanted |= {"fingerprint": asked.source.fingerprint, "weights": str(model.source)}
    wanted = json.loads(json.dumps(wanted))  # as it comes back
    output = parts.output
    with writing(output):
        output.mkdir(parents=True, exist_ok=True)
        if not any(output.iterdir()):
            write_json(output / NAME, wanted)
    if not (output / NAME).exists():
        raise UserError(f"--output {output} has something else in it: choose an empty or a new folder")
    there = read_json(output / NAME)
    for name, value in wanted.items():
        if there.get(name) != value:
            raise UserError(
                f"--output {output} has parts of another request ({name}: {there.get(name)} -> {value}): choose "
                "another folder, or delete this one"
            )


def _absolute(request: Request) -> Request:
    """The same request for processes that run in other directories."""
    choice = request.choice
    if choice is not None and choice.items is not None:
        choice = replace(choice, items=_path(choice.items))
    return replace(request, model=_path(request.model), data=_path(request.data), choice=choice)


def _path(path: str) -> str:
    return path if "://" in path else os.path.abspath(os.path.expanduser(path))
