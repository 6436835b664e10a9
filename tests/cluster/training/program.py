"""Runs the program as people do, in a process of its own, and looks at what it leaves."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from saccade.cluster.cli.main import run
from saccade.pipelines.checkpoint.reader import CheckpointReader
from saccade.pipelines.checkpoint.retention import checkpoints

PROGRAM = [sys.executable, "-m", "saccade.cluster.cli.main"]
MARK = "SACCADE_TEST_MARK"
REFERENCE = "engine.name=reference"


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    code: int
    out: str
    err: str
    seconds: float

    @property
    def json(self) -> Any:
        """The last line of stdout."""
        assert self.code == 0, self.err
        return json.loads(self.out.splitlines()[-1])


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's, with no cluster and no key in it; one thread a process, as the tests' workers have."""
    hidden = ("RAY_ADDRESS", "WANDB_API_KEY")
    kept = {name: value for name, value in os.environ.items() if name not in hidden}
    return kept | {"OMP_NUM_THREADS": "1"} | dict(extra or {})


def saccade(*arguments: object, extra: Mapping[str, str] | None = None, cwd: Path | None = None) -> Done:
    """Run a command to its end."""
    began = time.monotonic()
    done = subprocess.run(
        [*PROGRAM, *map(str, arguments)],
        env=environment(extra),
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr, time.monotonic() - began)


def mistake(*arguments: object) -> str:
    """The message of a command that must end with one line and exit code 2.

    Within this process, because importing torch takes most of such a command's time.
    """
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run(list(map(str, arguments)))
    line = err.getvalue().removeprefix("error: ").removesuffix("\n")
    assert (code, out.getvalue(), err.getvalue()) == (2, "", f"error: {line}\n")
    assert "\n" not in line
    return line


class Going:
    """A command that is going, in a process group of its own; its Ray processes are found by a mark they inherit."""

    def __init__(self, *arguments: object, mark: str, extra: Mapping[str, str] | None = None) -> None:
        self.mark = mark
        self.process = subprocess.Popen(
            [*PROGRAM, *map(str, arguments)],
            env=environment({MARK: mark} | dict(extra or {})),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            text=True,
        )

    def until(self, condition: Callable[[], object], seconds: float = 180) -> None:
        """Wait for a condition while the command goes on."""
        end = time.monotonic() + seconds
        while not condition():
            assert self.process.poll() is None, self.process.communicate()
            assert time.monotonic() < end, "waited in vain"
            time.sleep(0.05)

    def end(self, seconds: float = 200) -> Done:
        """Wait for the command to end by itself, and for its processes."""
        out, err = self.process.communicate(timeout=seconds)
        deadline = time.monotonic() + 10
        while left := self.left():
            assert time.monotonic() < deadline, f"left behind: {left}"
            time.sleep(0.1)
        return Done(self.process.returncode, out, err, 0.0)

    def left(self) -> dict[int, str]:
        """The processes with the mark, and what they are."""
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if f"{MARK}={self.mark}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                    found[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:  # ended meanwhile
                pass
        return found

    def kill(self) -> None:
        """End what is left of it, whatever happened."""
        for process in self.left():
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def step(run: Path) -> int:
    """How far a run says that it is."""
    try:
        return int(read(run / "progress.json")["step"])
    except OSError:
        return 0


def history(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]


def worker_process(run: Path, rank: int) -> int:
    """The process id in the last header of a worker's log."""
    headers = [line for line in (run / "logs" / f"rank-{rank}.log").read_text().splitlines() if line.startswith("---")]
    return int(headers[-1].split("process ")[1].split()[0])


def saved(run: Path) -> list[str]:
    return [path.name for path in checkpoints(run / "checkpoints")]


def weights(run: Path) -> dict[str, torch.Tensor]:
    """All weights and optimizer state of a run's last checkpoint."""
    reader = CheckpointReader(checkpoints(run / "checkpoints")[-1])
    tables = {f"{t}/{s}": reader.table(t, s) for t in reader.manifest.tables for s in ("weight", *reader.states(t))}
    return tables | {name: reader.network[name] for name in reader.network}


def assert_same_weights(one: Path, other: Path, tolerance: float = 0.0) -> None:
    left, right = weights(one), weights(other)
    assert left.keys() == right.keys()
    for name, tensor in left.items():
        torch.testing.assert_close(tensor, right[name], rtol=0, atol=tolerance, msg=lambda text, n=name: f"{n}: {text}")
