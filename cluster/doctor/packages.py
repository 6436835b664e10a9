"""Which packages are installed, and whether they go together; read from their metadata, without importing them."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib import metadata

from saccade.cluster.doctor.finding import Facts, Finding

CORE = ("torch", "numpy", "pyarrow", "pydantic", "pyyaml", "click", "safetensors", "scikit-learn")
"""What every job needs."""

EXTRAS: Mapping[str, tuple[str, ...]] = {
    "cpu (or gpu)": ("ray", "deepspeed", "torchrec"),
    "text": ("tokenizers",),
    "wandb": ("wandb", "wandb-workspaces"),
}
"""Extra of saccade -> packages that it brings."""

FBGEMM = ("fbgemm-gpu", "fbgemm-gpu-cpu")
"""Two builds of one import package."""

TOGETHER: Mapping[str, str] = {"torch": "2.13", "torchrec": "1.8", "fbgemm-gpu": "1.8", "fbgemm-gpu-cpu": "1.8"}
"""The releases that are built for each other."""


def installed(name: str) -> str | None:
    """A package's version; None where it isn't installed."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def versions() -> Facts:
    """The version of everything that matters, ``missing`` where it isn't there."""
    names = (*CORE, *(name for names in EXTRAS.values() for name in names))
    builds = [name for name in FBGEMM if installed(name)] or ["fbgemm-gpu"]
    facts = {name: installed(name) or "missing" for name in ("saccade", *names, *builds)}
    return {"python": platform.python_version(), **facts}


def missing_packages() -> list[Finding]:
    """Packages that aren't installed, and the extra that brings them."""
    findings = [
        Finding("problem", f"{name} isn't installed", "pip install saccade (in this environment)")
        for name in CORE
        if not installed(name)
    ]
    for extra, names in EXTRAS.items():
        absent = [name for name in names if not installed(name)]
        if extra.startswith("cpu") and not any(installed(name) for name in FBGEMM):
            absent.append("fbgemm-gpu-cpu (or fbgemm-gpu)")
        if absent:
            mend = f"pip install 'saccade[{extra.split()[0]}]'"
            if "gpu" in extra:
                mend += ", or 'saccade[gpu]' on a GPU machine; without them use engine.name=reference"
            findings.append(Finding("warning", f"not installed: {', '.join(absent)}", mend))
    return findings


def both_fbgemm() -> list[Finding]:
    """Both builds of FBGEMM at once: whichever was written last is half overwritten."""
    if not all(installed(name) for name in FBGEMM):
        return []
    keep = "fbgemm-gpu-cpu" if (installed("torch") or "").endswith("+cpu") else "fbgemm-gpu"
    mend = f"pip uninstall -y {' '.join(FBGEMM)} && pip install --no-deps {keep}=={TOGETHER[keep]}.0"
    return [Finding("problem", f"{' and '.join(FBGEMM)} are both installed and overwrite each other", mend)]


def mismatched_versions() -> list[Finding]:
    """Releases of torch, torchrec and FBGEMM that aren't built for each other."""
    present = {name: version for name in TOGETHER if (version := installed(name))}
    wrong = [name for name, version in present.items() if not version.startswith(TOGETHER[name] + ".")]
    if not wrong or set(present) == {"torch"}:
        return []
    have = ", ".join(f"{name} {version}" for name, version in present.items())
    mend = "pip install --no-deps " + " ".join(f"'{name}=={TOGETHER[name]}.*'" for name in wrong)
    return [
        Finding("problem", f"{have} aren't built for each other: torch 2.13 goes with torchrec and fbgemm 1.8", mend)
    ]


def mismatched_builds() -> list[Finding]:
    """A CUDA build of FBGEMM beside a CPU build of torch: importing torchrec fails."""
    torch = installed("torch") or ""
    if not torch.endswith("+cpu") or not installed("fbgemm-gpu") or installed("fbgemm-gpu-cpu"):
        return []
    mend = "pip uninstall -y fbgemm-gpu && pip install --no-deps fbgemm-gpu-cpu==1.8.0"
    return [Finding("problem", f"fbgemm-gpu needs CUDA, but torch {torch} is a CPU build", mend)]
