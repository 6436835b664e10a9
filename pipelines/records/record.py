"""The run's record: the machine, the code and the JSON files that say what a run was."""

from __future__ import annotations

import json
import math
import os
import platform
import subprocess
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = (
    "saccade",
    "torch",
    "torchrec",
    "fbgemm-gpu",
    "fbgemm-gpu-cpu",
    "deepspeed",
    "ray",
    "wandb",
    "pyarrow",
    "numpy",
    "safetensors",
    "scikit-learn",
    "tokenizers",
)
"""Distributions whose versions can change a run's numbers."""


def environment() -> dict[str, Any]:
    """The machine and the software of this process, for ``run.json``.

    Returns:
        ``python``, ``platform``, ``cpu``, ``cores``, ``memory_gib`` (both as limited by cgroups), ``gpus`` (names) and
        ``packages`` (version by name, only those installed).
    """
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": _cpu_name(),
        "cores": cores(),
        "memory_gib": round(memory_bytes() / 2**30, 1),
        "gpus": _gpu_names(),
        "packages": _package_versions(),
    }


def cores() -> int:
    """Cores that this process may use: its affinity, or its cgroup's quota rounded down where that is less; >= 1."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quotas = [int(available)]
    for folder in _cgroup_folders("cpu"):
        if limit := _read(folder / "cpu.max"):  # version 2: "QUOTA PERIOD", in microseconds
            quota, period = limit.split()
        else:
            quota, period = _read(folder / "cpu.cfs_quota_us"), _read(folder / "cpu.cfs_period_us")
        if quota.isdigit() and period.isdigit() and int(period) > 0:
            quotas.append(int(quota) // int(period))
    return max(1, min(quotas))


def memory_bytes() -> int:
    """Bytes of memory that this process may use: the machine's, or its cgroup's limit where that is less."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for folder in _cgroup_folders("memory"):
        limit = _read(folder / "memory.max") or _read(folder / "memory.limit_in_bytes")
        if limit.isdigit():
            limits.append(int(limit))
    return min(limits)


def git_state(directory: Path) -> dict[str, Any]:
    """The commit checked out around a directory and whether tracked files differ from it; None outside a repository."""
    commit = _git(directory, "rev-parse", "HEAD")
    if commit is None:
        return {"git_commit": None, "git_dirty": None}
    changes = _git(directory, "status", "--porcelain", "--untracked-files=no")
    return {"git_commit": commit, "git_dirty": None if changes is None else changes != ""}


def plain(value: Any) -> Any:
    """The same value in what JSON has: NaN and infinities as None, NumPy's scalars as numbers, paths as text."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, str | bool | int) or value is None:
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if hasattr(value, "item"):
        return plain(value.item())
    return str(value)


def write_json(path: Path, value: Any) -> None:
    """Replace a JSON file in one step: a reader sees the old contents or the new, never a part."""
    text = json.dumps(plain(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    replace_text(path, text)


def replace_text(path: Path, text: str) -> None:
    """Replace a text file in one step."""
    # The name holds the process id, so that two processes can't write the same temporary file. No fsync: these files
    # are rewritten every second, and losing power costs a report, not a checkpoint.
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def read_json(path: Path) -> Any:
    """The value in a JSON file.

    Raises:
        FileNotFoundError: there is no such file.
        json.JSONDecodeError: it isn't JSON.
    """
    return json.loads(path.read_text(encoding="utf-8"))


def _cpu_name() -> str:
    for line in _read(Path("/proc/cpuinfo")).splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _gpu_names() -> list[str]:
    import torch

    return [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]


def _package_versions() -> dict[str, str]:
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def _cgroup_folders(controller: str) -> list[Path]:
    """Folders of the cgroups around this process, innermost first: a limit anywhere on the way up counts."""
    folders: list[Path] = []
    for line in _read(Path("/proc/self/cgroup")).splitlines():
        _, controllers, group = line.split(":", 2)
        if controllers == "":
            root = Path("/sys/fs/cgroup")  # version 2
        elif controller in controllers.split(","):
            root = Path("/sys/fs/cgroup") / controller  # version 1
        else:
            continue
        inside = Path(group.lstrip("/"))
        folders += [root / part for part in (inside, *inside.parents)]
    return folders


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _git(directory: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(directory), *arguments], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
