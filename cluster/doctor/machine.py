"""Cores, memory and disk, as far as this process may use them."""

from __future__ import annotations

import math
import os
import shutil
from pathlib import Path

from saccade.cluster.doctor.finding import Facts, Finding

GIB = 2**30
LEAST_DISK, LEAST_SHM, LEAST_MEMORY = 2.0, 1.0, 4.0
"""GiB below which trouble is near: a checkpoint and Ray's files; Ray's object store; two workers."""


def cores() -> float:
    """Cores that this process may use: its affinity, and its control group's quota (versions 1 and 2)."""
    limits = [float(len(os.sched_getaffinity(0)))]
    for folder in _control_groups():
        quota = _words(folder / "cpu.max") or _words(folder / "cpu.cfs_quota_us") + _words(folder / "cpu.cfs_period_us")
        if len(quota) == 2 and quota[0] not in ("max", "-1"):
            limits.append(int(quota[0]) / int(quota[1]))
    return min(limits)


def memory_gib() -> float:
    """Memory that this process may use, in GiB: the machine's, and its control group's limit."""
    limits = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for folder in _control_groups():
        words = _words(folder / "memory.max") or _words(folder / "memory.limit_in_bytes")
        if words and words[0] != "max":
            limits.append(int(words[0]))
    return min(limits) / GIB


def free_gib(path: Path) -> float:
    """Free space where ``path`` is, or will be, in GiB; infinite where that can't be told."""
    try:
        return shutil.disk_usage(next(p for p in (path, *path.absolute().parents) if p.exists())).free / GIB
    except (OSError, StopIteration):
        return math.inf


def machine(runs: Path = Path("runs"), shm: Path = Path("/dev/shm")) -> Facts:
    """The machine in words."""
    return {
        "cores": f"{cores():g}",
        "memory": f"{memory_gib():.1f} GiB",
        f"free at {runs}/": f"{free_gib(runs):.1f} GiB",
        f"free at {shm}": f"{free_gib(shm):.1f} GiB" if shm.is_dir() else "not there",
    }


def little_space(runs: Path = Path("runs"), shm: Path = Path("/dev/shm")) -> list[Finding]:
    """Too little disk, shared memory or memory."""
    findings = []
    if free_gib(runs) < LEAST_DISK:
        what = f"only {free_gib(runs):.1f} GiB are free at {runs.absolute()}"
        findings.append(Finding("warning", what, "make room, or set run.storage to a larger disk"))
    if not shm.is_dir() or free_gib(shm) < LEAST_SHM:
        what = f"only {free_gib(shm):.1f} GiB are free at {shm}, where Ray and DeepSpeed share memory"
        findings.append(Finding("warning", what, "in a container: start it with --shm-size=4g"))
    if memory_gib() < LEAST_MEMORY:
        what = f"only {memory_gib():.1f} GiB of memory"
        findings.append(Finding("warning", what, "use engine.name=reference, or run.workers=1"))
    return findings


def _control_groups() -> list[Path]:
    """The folders that may limit this process: its own control group's, those above it, and version 1's."""
    root = Path("/sys/fs/cgroup")
    own = next((line[3:] for line in _lines(Path("/proc/self/cgroup")) if line.startswith("0::")), "/")
    nested = root / own.strip("/")
    above = [folder for folder in (nested, *nested.parents) if folder.is_relative_to(root)]
    return [*above, root / "cpu", root / "memory"]


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []


def _words(path: Path) -> list[str]:
    return " ".join(_lines(path)).split()
