"""What DeepSpeed compiles at first use, and the locks that a killed build leaves behind.

PyTorch makes a file ``lock`` beside what it builds and keeps it open; whoever comes later waits until the file is gone.
If the builder was killed, that is for ever.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from pathlib import Path

from saccade.cluster.doctor.finding import Facts, Finding

OP = "deepspeed_shm_comm"
LONG_BUILD = 600.0
"""Seconds after which even a living build is suspect."""


def extension_folders() -> list[Path]:
    """Where compiled operations may lie: TORCH_EXTENSIONS_DIR, or else the environment's own folder and the user's."""
    chosen = os.environ.get("TORCH_EXTENSIONS_DIR")
    if chosen:
        return [Path(chosen)]
    return [Path(sys.prefix, "torch_extensions"), Path("~/.cache/torch_extensions").expanduser()]


def comm_op() -> Facts:
    """Whether DeepSpeed's operation for communication on CPUs is built, and where."""
    built = _built()
    return {"comm op": f"built, {built}" if built else "not built"}


def unbuilt_op() -> list[Finding]:
    """The operation isn't built, or can't be."""
    from saccade.cluster.doctor.packages import installed

    if _built() or not installed("deepspeed") or not (installed("torch") or "").endswith("+cpu"):
        return []
    beside = str(Path(sys.executable).parent)
    tools = {"g++": shutil.which("g++"), "ninja": shutil.which("ninja") or shutil.which("ninja", path=beside)}
    absent = [name for name, found in tools.items() if not found]
    if absent:
        what = f"DeepSpeed's {OP} isn't built, and {' and '.join(absent)} to build it with isn't there"
        return [Finding("problem", what, "apt-get install g++ && pip install ninja; or use engine.name=reference")]
    mend = "python -m saccade.cluster.prepare (45 s, once)"
    return [Finding("warning", f"DeepSpeed's {OP} isn't built: the first training waits for the compiler", mend)]


def stale_locks() -> list[Finding]:
    """Locks whose build has died, and builds that have gone on for very long."""
    findings = []
    for folder in extension_folders():
        for lock in sorted(folder.rglob("lock")):
            holders = _holders(lock)
            minutes = _age(lock) / 60
            if not holders:
                what = f"{lock} was left behind by a build that died: every start waits for it for ever"
                findings.append(Finding("problem", what, f"rm {lock}"))
            elif minutes * 60 > LONG_BUILD:
                what = f"process {holders[0]} has been building {lock.parent.name} for {minutes:.0f} minutes"
                findings.append(Finding("warning", what, f"if it hangs: kill {holders[0]}; rm {lock}"))
    return findings


def _built() -> Path | None:
    found = [file for folder in extension_folders() for file in sorted(folder.rglob(f"{OP}.so"))]
    return found[0] if found else None


def _age(file: Path) -> float:
    try:
        return time.time() - file.stat().st_mtime
    except OSError:
        return 0.0


def _holders(file: Path) -> list[int]:
    """Processes that have the file open, as far as we may look."""
    holders = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            links = [handle for handle in (process / "fd").iterdir() if os.path.realpath(handle) == str(file.resolve())]
        except OSError:  # it has ended, or isn't ours
            continue
        if links:
            holders.append(int(process.name))
    return holders
